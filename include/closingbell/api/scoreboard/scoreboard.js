// What the pages do beyond links and forms: theme, search as one types, filters without a button, charts.
"use strict";
(() => {
  const page = document.documentElement;
  page.classList.add("scripted");
  const framed = window.parent !== window;

  // -- theme: the reader's choice, else that of Airflow around us, else the system's -----------------------------------
  const chosen = () => { try { return localStorage.getItem("closing-bell-theme"); } catch { return null; } };
  const around = () => {
    if (!framed) return null;
    try {
      const outer = window.parent.document.documentElement;
      return outer.classList.contains("dark") ? "dark" : outer.classList.contains("light") ? "light" : null;
    } catch { return null; }
  };
  const theme = () => page.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const wanted = chosen() || around();
  if (wanted) page.dataset.theme = wanted;

  document.addEventListener("DOMContentLoaded", () => {
    const toggle = document.getElementById("theme");
    if (toggle) {
      const name = () => { toggle.textContent = theme() === "dark" ? "Light" : "Dark"; };
      toggle.hidden = false;
      name();
      toggle.addEventListener("click", () => {
        page.dataset.theme = theme() === "dark" ? "light" : "dark";
        try { localStorage.setItem("closing-bell-theme", page.dataset.theme); } catch { /* kept for this page alone */ }
        name();
        draw();
      });
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
    if (document.querySelector(".search")) search(document.querySelector(".search"));
    draw();
  });

  // -- links out of Airflow's frame, which opens no tabs: the page around it opens them ---------------------------------
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[rel~='external']");
    if (!link) return;
    event.preventDefault();
    const opener = (framed ? window.parent : window).document.createElement("a");
    Object.assign(opener, { href: link.href, target: "_blank", rel: "noopener noreferrer" });
    opener.click();
  });

  // -- search as one types (a combobox of the WAI-ARIA practices) -------------------------------------------------------
  function search(form) {
    const box = form.querySelector("input"), list = form.querySelector("[role=listbox]");
    const at = form.dataset.search, api = form.dataset.api;
    const day = new URLSearchParams(location.search).get("session"), session = day ? `?session=${encodeURIComponent(day)}` : "";
    let asked = 0, timer = 0, active = -1;
    const close = () => { list.hidden = true; active = -1; box.setAttribute("aria-expanded", "false"); box.removeAttribute("aria-activedescendant"); };
    const go = (item) => { location.href = item.dataset.href; };
    const point = (to) => {
      const items = [...list.children].filter((item) => item.dataset.href);
      if (!items.length) return;
      active = (to + items.length) % items.length;
      items.forEach((item, place) => item.setAttribute("aria-selected", String(place === active)));
      items[active].scrollIntoView({ block: "nearest" });
      box.setAttribute("aria-activedescendant", items[active].id);
    };
    const show = (found) => {
      list.replaceChildren(...found.map((stock, place) => {
        const item = document.createElement("li"), ticker = document.createElement("b"), name = document.createElement("span");
        const sector = document.createElement("span");
        Object.assign(item, { id: `found-${place}`, role: "option" });
        item.setAttribute("aria-selected", "false");
        item.dataset.href = `${at}/stocks/${encodeURIComponent(stock.symbol)}${session}`;
        ticker.textContent = stock.symbol;
        name.textContent = stock.company_name || "";
        sector.textContent = stock.sector || "";
        sector.className = "dim";
        item.append(ticker, name, sector);
        item.addEventListener("mousedown", (event) => { event.preventDefault(); go(item); });
        return item;
      }));
      if (!found.length) {
        const none = document.createElement("li");
        none.textContent = "Nothing of that name";
        none.className = "dim";
        none.setAttribute("role", "option");
        none.setAttribute("aria-disabled", "true");
        list.append(none);
      }
      active = -1;
      list.hidden = false;
      box.setAttribute("aria-expanded", "true");
    };
    box.addEventListener("input", () => {
      clearTimeout(timer);
      const words = box.value.trim(), mine = ++asked;
      if (!words) return close();
      timer = setTimeout(async () => {
        const answer = await fetch(`${api}/v1/stocks/search?limit=8&q=${encodeURIComponent(words)}`);
        if (answer.ok && mine === asked) show((await answer.json()).results);
      }, 120);
    });
    box.addEventListener("keydown", (event) => {
      if (event.key === "Escape") close();
      if (list.hidden) return;
      if (event.key === "ArrowDown") { event.preventDefault(); point(active + 1); }
      if (event.key === "ArrowUp") { event.preventDefault(); point(active - 1); }
      if (event.key === "Enter") {
        const items = [...list.children].filter((item) => item.dataset.href);
        if (items.length) { event.preventDefault(); go(items[Math.max(active, 0)]); }
      }
    });
    box.addEventListener("blur", close);
    document.addEventListener("keydown", (event) => {
      if (event.key === "/" && !event.target.closest("input, select, textarea")) { event.preventDefault(); box.focus(); }
    });
  }

  // -- filters, order, pages and sessions: the same page is fetched, and its content put in place -----------------------
  let fetching = 0;
  async function open(url, { keep = false, focus = null } = {}) {
    const mine = ++fetching;
    const answer = await fetch(url, { headers: { Accept: "text/html" } });
    if (mine !== fetching) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const main = fresh.getElementById("main");
    if (!answer.ok || !main) { location.href = url; return; }
    document.title = fresh.title;
    document.getElementById("main").replaceWith(main);
    if (!keep) history.pushState({}, "", url);
    const again = focus && main.querySelector(focus);
    if (again) {
      again.focus();
      if (again.type === "search") again.setSelectionRange(again.value.length, again.value.length);
    }
    draw();
  }
  const of_form = (form) => {
    const given = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
    return `${form.getAttribute("action")}?${given}`;
  };
  let typing = 0;
  const changed = (event) => {
    const form = event.target.closest(".filters, .picker");
    if (!form || !form.checkValidity()) return;
    clearTimeout(typing);
    const typed = event.type === "input";
    if (typed && event.target.type !== "search" && event.target.type !== "number") return;
    const focus = `.${form.className} [name=${event.target.name}]`;
    // a field that is taken away while it has the focus says that it has changed: not then
    typing = setTimeout(() => form.isConnected && open(of_form(form), { focus }), typed ? 250 : 0);
  };
  document.addEventListener("change", changed);
  document.addEventListener("input", changed);
  document.addEventListener("submit", (event) => {
    if (!event.target.matches(".filters, .picker")) return;
    event.preventDefault();
    open(of_form(event.target));
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("thead a, .pages a:not([download]), .picker a, .filters a");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.defaultPrevented) return;
    event.preventDefault();
    const column = link.closest("thead th");
    const place = column && [...column.parentNode.children].indexOf(column) + 1;
    open(link.href, { focus: place ? `thead th:nth-child(${place}) a` : null });
  });
  window.addEventListener("popstate", () => open(location.href, { keep: true }));

  // -- charts -----------------------------------------------------------------------------------------------------------
  let drawing = 0;
  async function draw() {
    const prices = document.getElementById("chart-prices");
    if (!prices) return;
    const mine = ++drawing;
    const url = new URL(prices.dataset.charts, location.href);
    url.searchParams.set("theme", theme());
    url.searchParams.set("wide", innerWidth > 800);
    const answer = await fetch(url);
    if (!answer.ok || mine !== drawing) return;
    const charts = await answer.json();
    if (!window.Bokeh) await new Promise((done) => addEventListener("load", done, { once: true }));
    if (mine !== drawing) return;
    for (const name of ["prices", "history"]) {
      const place = document.getElementById(`chart-${name}`);
      place.replaceChildren();
      if (charts[name]) await Bokeh.embed.embed_item(charts[name], place);
    }
    if (charts.prices) ranges(charts.prices);
    page.dataset.drawn = theme();
  }
  function ranges(item) {
    const group = document.querySelector(".ranges");
    const drawn = Bokeh.documents.findLast((doc) => doc.roots().some((root) => root.id === item.root_id));
    const shown = drawn && drawn.get_model_by_name("sessions");
    if (!group || !shown) return;
    const first = shown.start, last = shown.end;
    group.hidden = false;
    group.onclick = (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const days = Number(button.dataset.sessions) * 7 / 5;
      shown.start = button.dataset.sessions === "260" ? first : Math.max(first, last - days * 86400e3);
      for (const each of group.children) each.setAttribute("aria-pressed", String(each === button));
    };
  }
})();
