// The site's first page: log in, see tasks, runs and nodes, start and stop, read logs. Plain modules, no build. The token lives in
// sessionStorage: it ends with the tab.

const api = "/api/v1";
const tokenKey = "cloudtask-token";
const userKey = "cloudtask-user";
const refreshEvery = 5000;

const $ = (selector) => document.querySelector(selector);

// --- requests ---------------------------------------------------------------------------------------------------------------------

class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function request(method, path, body) {
  const headers = {};
  const token = sessionStorage.getItem(tokenKey);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  // A click that is sent twice by a bad network is carried out once.
  if (method !== "GET" && token) headers["Idempotency-Key"] = `${Date.now()}-${Math.random().toString(36).slice(2)}`;
  let response;
  try {
    response = await fetch(api + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Problem(0, "The center does not answer. It may be restarting; this page goes on trying.");
  }
  if (response.ok) return response;
  let detail = `The center answered ${response.status}.`;
  try {
    const problem = await response.json();
    detail = problem.detail || problem.title || detail;
  } catch {
    // Not every proxy in between answers in JSON; the status says enough.
  }
  throw new Problem(response.status, detail);
}

const get = async (path) => (await request("GET", path)).json();

function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== undefined);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

// --- showing ----------------------------------------------------------------------------------------------------------------------

// Elements are built, never parsed from text: nothing that a program or a user wrote becomes markup.
function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const looks = {
  SUCCEEDED: "good", RUNNING: "busy", PENDING: "warn", FAILED: "bad", TIMED_OUT: "bad", LOST: "bad", STOPPED: "off", SKIPPED: "off",
  idle: "good", running: "busy", failed: "bad", reallocating: "warn", disabled: "off", online: "good", offline: "bad", cordoned: "warn",
};

const stateOf = (state) => element("span", { className: `state ${looks[state] || "off"}`, textContent: state });

function time(text) {
  if (!text) return "–";
  const at = new Date(text);
  const today = at.toDateString() === new Date().toDateString();
  return element("time", { dateTime: text, title: text, textContent: today ? at.toLocaleTimeString() : at.toLocaleString() });
}

function took(run) {
  if (!run.started_at) return "–";
  const end = run.ended_at ? new Date(run.ended_at) : new Date();
  const seconds = Math.max(0, (end - new Date(run.started_at)) / 1000);
  return seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}

// `passing`: told by the refresh, and taken back by the next one that works. What a click led to stays until the next click.
function trouble(error, passing = false) {
  const place = $("#trouble");
  place.hidden = !error;
  place.textContent = error ? error.message : "";
  place.dataset.passing = passing;
}

function action(label, name, perform) {
  const button = element("button", { type: "button", textContent: label });
  button.setAttribute("aria-label", `${label} ${name}`);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await perform();
      trouble(null);
      await refresh();
    } catch (error) {
      failed(error);
    } finally {
      button.disabled = false;
    }
  });
  return button;
}

const mayWrite = () => JSON.parse(sessionStorage.getItem(userKey) || "{}").role === "admin";

// --- lists ------------------------------------------------------------------------------------------------------------------------

const rows = {
  tasks(task) {
    const name = `${task.runtime}/${task.group}/${task.name}`;
    const actions = element("td");
    if (mayWrite()) {
      actions.append(action("Start", name, () => request("POST", `/tasks/${task.id}/start`)), " ");
      actions.append(task.enabled
        ? action("Disable", name, () => request("POST", `/tasks/${task.id}/disable`))
        : action("Enable", name, () => request("POST", `/tasks/${task.id}/enable`)));
    }
    const last = element("td");
    if (task.last_run) {
      last.append(stateOf(task.last_run.state), " ", time(task.last_run.at), " ", logButton(task.last_run.id, name));
    } else {
      last.append("–");
    }
    return element("tr", {},
      element("td", {}, task.name, element("small", { textContent: `${task.runtime} / ${task.group}` })),
      element("td", {}, stateOf(task.state)),
      element("td", { textContent: task.owner ? task.owner.node_name : "–" }),
      last,
      element("td", {}, time(task.next_fire)),
      actions);
  },

  runs(run) {
    const name = `${run.runtime}/${run.group}/${run.task_name}`;
    // What never started wrote nothing.
    const actions = element("td", {}, run.started_at ? logButton(run.id, name) : null);
    if (mayWrite() && (run.state === "RUNNING" || run.state === "PENDING")) {
      actions.append(" ", action("Stop", name, () => request("POST", `/runs/${run.id}/stop`)));
    }
    return element("tr", {},
      element("td", {}, run.task_name, element("small", { textContent: `${run.runtime} / ${run.group}` })),
      element("td", {}, stateOf(run.state), run.reason ? element("small", { textContent: run.reason }) : null),
      element("td", {}, run.fire_time ? time(run.fire_time) : `by ${run.started_by || "hand"}`),
      element("td", {}, time(run.started_at)),
      element("td", { textContent: took(run) }),
      element("td", { textContent: run.node_name || "–" }),
      actions);
  },

  nodes(node) {
    const labels = Object.entries(node.labels || {}).map(([key, value]) => `${key}=${value}`).join(", ");
    return element("tr", {},
      element("td", { textContent: node.name }),
      element("td", { textContent: node.runtime }),
      element("td", {}, stateOf(!node.online ? "offline" : node.cordoned ? "cordoned" : "online")),
      element("td", { textContent: labels || "–" }),
      element("td", { textContent: node.weight }),
      element("td", { textContent: node.version || "–" }),
      element("td", {}, time(node.last_seen_at)));
  },
};

const lists = Object.fromEntries(Object.keys(rows).map((name) => [name, { filter: {}, pages: 1 }]));
let section = "tasks";
let showing = 0;

// Reads as many pages as are shown, so that a refresh neither loses nor repeats a row.
async function show(name) {
  const turn = ++showing;
  const list = lists[name];
  const items = [];
  let next;
  for (let page = 0; page < list.pages; ++page) {
    const answer = await get(`/${name}${query({ ...list.filter, cursor: next })}`);
    items.push(...answer.items);
    next = answer.next;
    if (!next) break;
  }
  if (turn !== showing || name !== section) return;
  const place = $(`#${name}`);
  const focused = place.querySelector("tbody").contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
  place.querySelector("tbody").replaceChildren(...items.map(rows[name]));
  if (focused) place.querySelector(`tbody button[aria-label="${CSS.escape(focused)}"]`)?.focus();
  place.querySelector(".empty").hidden = items.length > 0;
  place.querySelector(".more").hidden = !next;
}

async function refresh() {
  if (!sessionStorage.getItem(tokenKey)) return;
  await show(section);
}

function openSection(name) {
  section = name;
  for (const other of Object.keys(rows)) $(`#${other}`).hidden = other !== name;
  for (const button of document.querySelectorAll("#sections button")) {
    if (button.dataset.section === name) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
  refresh().then(() => trouble(null), (error) => failed(error));
}

// --- logs -------------------------------------------------------------------------------------------------------------------------

const log = { run: null, name: "", abort: null };

const logButton = (run, name) => {
  const button = element("button", { type: "button", textContent: "Log" });
  button.setAttribute("aria-label", `Log of ${name}, run ${run}`);
  button.addEventListener("click", () => openLog(run, name));
  return button;
};

// A link to one run, as failure mails have it: its log, over the list of runs.
async function openRun(id) {
  try {
    const run = await get(`/runs/${id}`);
    // Of a run that failed people want to see why.
    $("#log-stream").value = looks[run.state] === "bad" ? "stderr" : "stdout";
    openLog(run.id, `${run.runtime}/${run.group}/${run.task_name}`);
  } catch (error) {
    failed(error);
  }
}

function openLog(run, name) {
  log.run = run;
  log.name = name;
  $("#log-title").textContent = `Log of ${name}`;
  if (!$("#log").open) $("#log").showModal();
  followLog();
}

const mostShown = 2_000_000;  // characters; more makes a browser slow

function appendLog(text) {
  const place = $("#log-text");
  const atEnd = place.scrollHeight - place.scrollTop - place.clientHeight < 40;
  place.append(text);
  if (place.textContent.length > mostShown) place.textContent = place.textContent.slice(-mostShown / 2);
  if (atEnd) place.scrollTop = place.scrollHeight;
}

// Server-sent events over fetch, as EventSource cannot send the token in a header.
async function followLog() {
  log.abort?.abort();
  const abort = new AbortController();
  log.abort = abort;
  $("#log-text").textContent = "";
  $("#log-state").textContent = "reading…";
  const parameters = query({ stream: $("#log-stream").value, from: 0, follow: true });
  try {
    const response = await fetch(`${api}/runs/${log.run}/log${parameters}`, {
      headers: { Authorization: `Bearer ${sessionStorage.getItem(tokenKey)}` },
      signal: abort.signal,
    });
    if (!response.ok) throw new Problem(response.status, (await response.json()).detail);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let waiting = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      waiting += value;
      let end;
      while ((end = waiting.indexOf("\n\n")) >= 0) {
        const event = waiting.slice(0, end);
        waiting = waiting.slice(end + 2);
        handleLogEvent(event);
      }
    }
  } catch (error) {
    if (abort.signal.aborted) return;
    $("#log-state").textContent = `The log broke off: ${error.message}`;
  }
}

function handleLogEvent(event) {
  const field = (name) => event.split("\n").filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trim()).join("\n");
  const kind = field("event");
  if (kind === "log") {
    appendLog(JSON.parse(field("data")).text);
    $("#log-state").textContent = "following…";
  } else if (kind === "end") {
    const data = field("data");
    let state = data;
    try {
      state = JSON.parse(data).state || data;
    } catch {
      // The state alone is fine too.
    }
    $("#log-state").textContent = `The run is over: ${state}.`;
  }
}

$("#log-close").addEventListener("click", () => $("#log").close());
$("#log").addEventListener("close", () => {
  log.abort?.abort();
  if (location.hash.startsWith("#run=")) history.replaceState(null, "", "#runs");
});
$("#log-stream").addEventListener("change", followLog);

// --- session ----------------------------------------------------------------------------------------------------------------------

function failed(error, passing = false) {
  trouble(error, passing);
  if (error.status === 401) showLogin();
}

function showLogin() {
  sessionStorage.removeItem(tokenKey);
  sessionStorage.removeItem(userKey);
  for (const name of Object.keys(rows)) $(`#${name}`).hidden = true;
  $("#sections").hidden = true;
  $("#who").hidden = true;
  if ($("#log").open) $("#log").close();
  $("#login").hidden = false;
  $("#login-form").elements.name.focus();
}

function showSite() {
  const user = JSON.parse(sessionStorage.getItem(userKey));
  $("#login").hidden = true;
  $("#sections").hidden = false;
  $("#who").hidden = false;
  $("#user-name").textContent = user.role === "admin" ? user.name : `${user.name} (${user.role})`;
  followAddress();
}

$("#login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const answer = await (await request("POST", "/login", { name: form.elements.name.value, password: form.elements.password.value })).json();
    sessionStorage.setItem(tokenKey, answer.token);
    sessionStorage.setItem(userKey, JSON.stringify(answer.user));
    form.reset();
    trouble(null);
    showSite();
  } catch (error) {
    trouble(error);
  } finally {
    button.disabled = false;
  }
});

$("#logout").addEventListener("click", async () => {
  try {
    await request("DELETE", "/login");
  } catch (error) {
    // Whatever the center says, this browser forgets the token.
    trouble(error);
  }
  showLogin();
});

// The address says what is shown, so that it can be kept, sent, and gone back to.
function followAddress() {
  const run = /^#run=([0-9a-f-]{36})$/.exec(location.hash);
  const name = location.hash.slice(1);
  openSection(run ? "runs" : Object.hasOwn(rows, name) ? name : "tasks");
  if (run) openRun(run[1]);
  else if ($("#log").open) $("#log").close();
}

window.addEventListener("hashchange", () => {
  if (sessionStorage.getItem(tokenKey)) followAddress();
});

for (const button of document.querySelectorAll("#sections button")) {
  button.addEventListener("click", () => {
    if (location.hash === `#${button.dataset.section}`) openSection(button.dataset.section);
    else location.hash = button.dataset.section;
  });
}

for (const form of document.querySelectorAll(".filter")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    lists[form.dataset.list] = { filter: Object.fromEntries(new FormData(form)), pages: 1 };
    refresh().then(() => trouble(null), (error) => failed(error));
  });
}

for (const name of Object.keys(rows)) {
  $(`#${name} .more`).addEventListener("click", () => {
    lists[name].pages += 1;
    refresh().catch((error) => failed(error));
  });
}

setInterval(() => {
  if (document.hidden || !sessionStorage.getItem(tokenKey)) return;
  refresh().then(() => { if ($("#trouble").dataset.passing === "true") trouble(null); }, (error) => failed(error, true));
}, refreshEvery);

if (sessionStorage.getItem(tokenKey)) showSite();
else showLogin();
