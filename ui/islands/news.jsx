// Hears of alerts and of devices coming and going, and tells the page, at most once a second: a storm stays readable.
import { useEffect, useRef } from "react";
import { follow } from "./live.js";

const REST_MS = 1000;

/** `field`: the subscription's root field; `onNews()` when anything happens on it. */
export function News({ query, field, onNews }) {
  const tell = useRef(onNews);
  tell.current = onNews;
  useEffect(() => {
    let timer;
    let last = 0;
    const news = () => {
      clearTimeout(timer);
      const wait = Math.max(50, last + REST_MS - Date.now());
      timer = setTimeout(() => {
        last = Date.now();
        tell.current?.();
      }, wait);
    };
    const stop = follow(query, field, {}, news, news);
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [query, field]);
  return null;
}
