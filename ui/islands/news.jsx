// Hears of alerts, commands and devices coming and going, and tells the page, at most once a second: a storm stays readable.
import { useEffect, useRef } from "react";
import { catchUp, follow } from "./live.js";

const REST_MS = 1000;

/** `field`: the subscription's root field; `onNews()` when anything happens on it, or to commands of `deviceId` only. */
export function News({ query, field, deviceId, onNews }) {
  const tell = useRef(onNews);
  tell.current = onNews;
  useEffect(() => {
    let timer;
    let last = 0;
    const news = (event) => {
      if (deviceId && event?.command && event.command.device.id !== deviceId) return;
      clearTimeout(timer);
      const wait = Math.max(50, last + REST_MS - Date.now());
      timer = setTimeout(() => {
        last = Date.now();
        tell.current?.();
      }, wait);
    };
    const stop = follow(query, field, {}, news, news);
    // what happens between a page's own question and the beginning of its subscription is in neither
    const rest = catchUp(() => news());
    return () => {
      clearTimeout(timer);
      rest();
      stop();
    };
  }, [query, field, deviceId]);
  return null;
}
