// Adds new activity to the top of the list, as the server sends it. All of it is text: nothing is ever read as markup.
"use strict";

const feed = document.getElementById("feed");
const empty = document.getElementById("feed-empty");
const state = document.getElementById("live-state");
const pause = document.getElementById("live-pause");
const words = JSON.parse(feed.dataset.words);
const most = Number(feed.dataset.most);
const buffered = [];
let paused = false;

const element = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

const link = (className, text, href) => {
  const made = element("a", className, text);
  made.href = href;
  return made;
};

const callback = (line) => {
  const how = element("span", "line-how");
  const outcome = element("span", `state state-${line.outcome}`, words[`outcome_${line.outcome}`]);
  how.append(outcome, " ", element("span", "quiet", words[`kind_${line.kind}`]));
  return how;
};

const delivery = (line) => {
  const how = element("span", "line-how");
  const good = line.error === undefined;
  const details = [`${words[`event_${line.event}`]} → ${line.endpoint}`, `${line.milliseconds} ms`];
  if (!good) details.push(line.error);
  const badge = `state state-${good ? "good" : "bad"}`;
  how.append(link(badge, good ? words.live_delivered : words.live_failed, feed.dataset.deliveries + line.delivery_id));
  how.append(" ", element("span", "quiet", details.join(" · ")));
  return how;
};

const item = (line) => {
  const made = element("li", "line new");
  const time = element("time", "", line.clock);
  time.dateTime = line.at;
  made.append(
    time,
    element("span", "line-what", line.kind ? words.live_callback : words.live_delivery),
    line.href ? link("line-callee number", line.callee, line.href) : element("span", "line-callee number", line.callee),
    line.kind ? callback(line) : delivery(line),
  );
  if (feed.dataset.several) made.append(element("span", "line-where tag", line.channel));
  return made;
};

const show = (items) => {
  if (!items.length) return;
  feed.prepend(...items.reverse());
  while (feed.children.length > most) feed.lastElementChild.remove();
  empty.hidden = true;
  document.getElementById("feed-arrived")?.removeAttribute("hidden");
};

const setState = (tone, text) => {
  state.className = `state state-${tone}`;
  state.textContent = text;
};

const showState = () => {
  if (!paused) setState("live", words.live_on);
  else setState("warn", buffered.length ? `${words.live_paused} · ${words.live_buffered.replace("%d", buffered.length)}` : words.live_paused);
};

const source = new EventSource(feed.dataset.events);

source.addEventListener("open", showState);

source.addEventListener("error", () => {
  if (source.readyState === EventSource.CLOSED) setState("bad", words.live_ended);
  else setState("warn", words.live_lost);
});

source.addEventListener("activity", (event) => {
  const { items: fresh, skipped } = JSON.parse(event.data);
  const items = fresh.map(item);
  if (skipped) items.unshift(element("li", "line skipped quiet", words.live_skipped.replace("%d", skipped)));
  if (paused) buffered.push(...items.slice(-most));
  else show(items);
  if (buffered.length > most) buffered.splice(0, buffered.length - most);
  showState();
});

if (pause) {
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? words.live_go_on : words.live_pause;
    if (!paused) show(buffered.splice(0));
    showState();
  });
}

addEventListener("pagehide", () => source.close());
addEventListener("pageshow", (event) => event.persisted && location.reload());
setState("warn", words.live_lost);
