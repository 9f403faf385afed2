// The page of the service. What it shows comes from the service alone, and as text: nothing is parsed as HTML.

const LANGUAGES = { en: "ja", ja: "en" };
const OWN_NAMES = { en: "English", ja: "日本語" };
const TRIES = 6;
const PICTURE = /^data:image\/(png|webp|jpeg);base64,/;

const $ = (id) => document.getElementById(id);
const state = { locale: "en", texts: {}, token: "", service: null, file: null, shown: null, run: 0 };

function say(key, values = {}) {
  const text = state.texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

function percent(share) {
  return new Intl.NumberFormat(state.locale, { style: "percent", maximumFractionDigits: 1 }).format(share);
}

// Neither certain nor impossible is said of what is only nearly so.
function chance(share) {
  if (share > 0 && share < 0.0005) return `<${percent(0.001)}`;
  if (share < 1 && share > 0.9995) return `>${percent(0.999)}`;
  return percent(share);
}

function element(tag, { text = "", ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  if (text !== "") made.textContent = text;
  made.append(...children);
  return made;
}

const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

// -- the service ------------------------------------------------------------------------------------

async function ask(path, { method = "GET", body = undefined } = {}) {
  const headers = state.token ? { Authorization: `Bearer ${state.token}` } : {};
  for (let number = 1; ; number++) {
    const answer = await fetch(path, { method, body, headers });
    if (answer.status === 503 && number < TRIES) {
      await pause(Number(answer.headers.get("Retry-After")) || 1);
      continue;
    }
    const value = await answer.json();
    if (answer.status === 401) {
      $("token-form").hidden = false;
      $("token").focus();
    }
    if (!answer.ok) throw new Error(value.error);
    return value;
  }
}

async function learn() {
  state.service = await ask("heads");
  const { heads, words } = state.service;
  $("token-form").hidden = true;
  $("served").textContent = heads.map((one) => one.name).join(", ");
  const wanted = $("head").value;
  $("head").replaceChildren(...heads.map((one) => element("option", { value: one.name, text: one.name })));
  if (heads.some((one) => one.name === wanted)) $("head").value = wanted;
  $("head-choice").hidden = heads.length < 2;
  $("labels").replaceChildren(...(chosenHead()?.names ?? []).map((name) => element("option", { value: name })));
  $("accepted").textContent = say("accepted", {
    megabytes: Math.floor(state.service.body_bytes / 1e6),
    megapixels: Math.floor(state.service.pixels / 1e6),
  });
  $("seen").hidden = $("seen").hidden || !words;
}

function chosenHead() {
  const heads = state.service?.heads ?? [];
  return heads.find((one) => one.name === $("head").value) ?? heads[0];
}

// -- an image ---------------------------------------------------------------------------------------

async function look(file) {
  const run = ++state.run;
  const current = () => run === state.run;
  state.file = file;
  state.shown = null;
  $("trouble").textContent = "";
  $("kept").textContent = "";
  for (const id of ["answer", "feedback", "seen", "where", "like", "correction", "carried"]) $(id).hidden = true;
  show(file);
  try {
    if (!state.service) await learn();
    for (const step of [predicted, worded, alike, explained]) {
      if (!current()) return;
      await step(file, current);
    }
    if (current()) $("status").textContent = state.shown ? say("done", shownBest()) : say("done_plain");
  } catch (error) {
    if (!current()) return;
    $("status").textContent = "";
    $("trouble").textContent = say("trouble", { error: error.message });
  }
}

function show(file) {
  if ($("preview").src) URL.revokeObjectURL($("preview").src);
  $("preview").src = URL.createObjectURL(file);
  $("preview").alt = say("preview");
  $("preview").hidden = false;
}

async function predicted(file, current) {
  const head = chosenHead();
  if (!head) return;
  $("status").textContent = say("at_work");
  const found = await ask(`predict?head=${encodeURIComponent(head.name)}&top=5`, { method: "POST", body: file });
  if (!current()) return;
  state.shown = found;
  const [best] = found.predictions;
  $("best").textContent = `${best.name} ${chance(best.probability)}`;
  $("names").replaceChildren(
    ...found.predictions.map((one) => row(one.name, one.probability, 1, chance(one.probability))),
  );
  $("answer").hidden = false;
  $("feedback").hidden = !state.service.feedback;
  for (const id of ["right", "wrong"]) $(id).disabled = false;
  $("wrong").setAttribute("aria-expanded", "false");
  $("label").value = "";
  $("status").textContent = say("so_far", shownBest());
}

function shownBest() {
  const best = state.shown?.predictions[0];
  return best && { name: best.name, share: chance(best.probability) };
}

function row(name, value, largest, number) {
  const bar = element("span", { className: value < 0 ? "against" : "" });
  bar.style.width = `${(100 * Math.abs(value)) / (largest || 1)}%`;
  const cell = element("td", { className: "bar" }, bar);
  cell.setAttribute("aria-hidden", "true");
  return element("tr", {}, element("th", { scope: "row", text: name }), cell,
    element("td", { className: "number", text: number }));
}

async function worded(file, current) {
  if (!state.service.words) return;
  const found = await ask("words?top=8", { method: "POST", body: file });
  if (current()) words(found.words);
}

function words(found) {
  $("words").replaceChildren(
    ...found.map((one) => element("li", { text: `${one.name} ` }, element("span", { text: chance(one.probability) }))),
  );
  $("seen").hidden = false;
}

async function alike(file, current) {
  if (!state.service.similar) return;
  const found = await ask("similar?top=6&thumbnails=true", { method: "POST", body: file });
  if (!current()) return;
  $("cases").replaceChildren(...found.cases.map(oneCase));
  $("like").hidden = false;
}

function oneCase(one) {
  const parts = [];
  if (PICTURE.test(one.thumbnail)) parts.push(element("img", { src: one.thumbnail, alt: "" }));
  if (one.label) parts.push(element("p", {}, element("b", { text: one.label })));
  parts.push(element("p", { text: one.caption || one.id }));
  parts.push(element("p", { className: "note", text: say("alike", { share: percent(one.similarity) }) }));
  return element("li", {}, ...parts);
}

async function explained(file, current) {
  if (!state.service.explain) return;
  $("status").textContent = say("explaining");
  const head = chosenHead();
  const named = head ? `&head=${encodeURIComponent(head.name)}` : "";
  const { explanation } = await ask(`explain?locale=${state.locale}${named}`, { method: "POST", body: file });
  if (!current()) return;
  if (explanation.words.length) {
    words(explanation.words.map((one) => ({ name: one.name, probability: one.score })));
  }
  contributions(explanation);
  maps(explanation.heat.filter((one) => PICTURE.test(one.picture)));
}

function contributions({ contributions: found, why_not: whyNot }) {
  const parts = found?.words ?? [];
  const largest = Math.max(...parts.map((one) => Math.abs(one.value)), 0);
  const form = new Intl.NumberFormat(state.locale, { signDisplay: "always", maximumSignificantDigits: 2 });
  $("contributions").replaceChildren(
    ...parts.map((one) => row(one.name, one.value, largest, form.format(one.value))),
  );
  $("whynot").textContent = whyNot?.sentence ?? "";
  $("carried").hidden = !parts.length;
  $("seen").hidden = $("seen").hidden && !parts.length;
}

function maps(found) {
  const choose = (one, button) => {
    for (const other of $("maps").children) other.setAttribute("aria-pressed", String(other === button));
    $("heat").src = one.picture;
    $("heat").alt = say("heat_alt", { name: one.of });
    $("heat-note").textContent = say("heat_note", { name: one.of });
  };
  const buttons = found.map((one) => {
    const button = element("button", { type: "button", text: one.of });
    button.addEventListener("click", () => choose(one, button));
    return button;
  });
  $("maps").replaceChildren(...buttons);
  $("where").hidden = !found.length;
  if (found.length) choose(found[0], buttons[0]);
}

// -- feedback ---------------------------------------------------------------------------------------

async function judge(verdict) {
  const shown = state.shown;
  if (!shown || !state.file) return;
  const [best] = shown.predictions;
  const form = new FormData();
  form.append("file", state.file, "image");
  const fields = {
    verdict,
    prediction: best.name,
    probability: String(best.probability),
    head: shown.head.name,
    head_digest: shown.head.digest,
    request_id: shown.request_id,
  };
  if (verdict === "wrong" && $("label").value.trim()) fields.label = $("label").value.trim();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  for (const id of ["right", "wrong"]) $(id).disabled = true;
  try {
    await ask("feedback", { method: "POST", body: form });
    $("correction").hidden = true;
    $("kept").textContent = say("kept");
  } catch (error) {
    for (const id of ["right", "wrong"]) $(id).disabled = false;
    $("trouble").textContent = say("trouble", { error: error.message });
  }
}

// -- language ---------------------------------------------------------------------------------------

async function speak(locale) {
  state.texts = await (await fetch(`page/${locale}.json`)).json();
  state.locale = locale;
  document.documentElement.lang = locale;
  for (const one of document.querySelectorAll("[data-text]")) one.textContent = say(one.dataset.text, limits());
  $("language").textContent = OWN_NAMES[LANGUAGES[locale]];
  $("language").lang = LANGUAGES[locale];
}

function limits() {
  const { body_bytes: bytes = 1e7, pixels = 5e7 } = state.service ?? {};
  return { megabytes: Math.floor(bytes / 1e6), megapixels: Math.floor(pixels / 1e6) };
}

// -- what people do ---------------------------------------------------------------------------------

function listen() {
  $("image").addEventListener("change", () => $("image").files[0] && look($("image").files[0]));
  const drop = $("drop");
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
  drop.addEventListener("drop", (event) => {
    const [file] = event.dataTransfer?.files ?? [];
    if (file) look(file);
  });
  window.addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (file) look(file);
  });
  $("head").addEventListener("change", () => learn().then(() => state.file && look(state.file)));
  $("language").addEventListener("click", async () => {
    await speak(LANGUAGES[state.locale]);
    if (state.file) look(state.file);
  });
  $("right").addEventListener("click", () => judge("right"));
  $("wrong").addEventListener("click", () => {
    const open = $("correction").hidden;
    $("correction").hidden = !open;
    $("wrong").setAttribute("aria-expanded", String(open));
    if (open) $("label").focus();
  });
  $("feedback").addEventListener("submit", (event) => { event.preventDefault(); judge("wrong"); });
  $("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    state.token = $("token").value.trim();
    begin();
  });
}

async function begin() {
  try {
    await learn();
    $("trouble").textContent = "";
    if (state.file) look(state.file);
  } catch (error) {
    $("trouble").textContent = say("trouble", { error: error.message });
  }
}

await speak(document.documentElement.lang in LANGUAGES ? document.documentElement.lang : "en");
listen();
await begin();
document.documentElement.dataset.ready = "true";
