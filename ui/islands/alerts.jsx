// Hears of alerts as they happen and tells the page, at most once a second, so that a storm of alerts stays readable.
import { useEffect, useRef } from "react";
import { follow } from "./live.js";

const REST_MS = 1000;

export function AlertNews({ query, onNews }) {
  const tell = useRef(onNews);
  tell.current = onNews;
  useEffect(() => {
    let timer;
    let last = 0;
    const news = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        last = Date.now();
        tell.current?.();
      }, Math.max(50, last + REST_MS - Date.now()));
    };
    const stop = follow(query, "alerts", {}, news, news);
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [query]);
  return null;
}
