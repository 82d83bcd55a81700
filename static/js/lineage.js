/* The lineage as a drawing: one step around the dataset first, more on demand. The list above it says the same.
   The libraries are large, so they are fetched when somebody asks for the drawing. */

import { bytesOfHex, drawParcel } from "./parcel.js";

const LIBRARIES = ["cytoscape/cytoscape.min.js", "elk/elk.bundled.js", "cytoscape-elk/cytoscape-elk.js"];

function load(path) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL(`../vendor/${path}`, import.meta.url);
    script.onload = resolve;
    script.onerror = () => reject(new Error(gettext("The drawing could not be loaded.")));
    document.head.append(script);
  });
}

function colors() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(["ink", "line", "panel", "accent", "muted"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

function look() {
  const { ink, panel, accent, muted } = colors();
  const words = { "font-family": "Inter Variable, sans-serif", color: ink };
  return [
    { selector: "node", style: { ...words, shape: "rectangle", width: 220, height: 56, "background-color": panel, "border-width": 1,
      "border-color": muted, label: "data(label)", "text-valign": "center", "text-wrap": "wrap", "text-max-width": 154, "font-size": 12 } },
    { selector: "node[mark]", style: { "background-image": "data(mark)", "background-width": 40, "background-height": 40,
      "background-position-x": 8, "background-position-y": 8, "text-margin-x": 24 } },
    { selector: "node.here", style: { "border-color": accent, "border-width": 3 } },
    { selector: "edge", style: { ...words, width: 1.5, "line-color": muted, "target-arrow-color": muted, "target-arrow-shape": "triangle",
      "curve-style": "bezier", label: "data(label)", "font-size": 11, "text-background-color": panel, "text-background-opacity": 1, "text-background-padding": 2 } },
  ];
}

/* A picture of its own has no style sheet around it: the colors of the page are written into the mark. */
function mark(digest) {
  const { panel, line } = colors();
  const drawn = drawParcel(bytesOfHex(digest), 80).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ');
  const svg = drawn.replaceAll("var(--panel)", panel).replaceAll("var(--line)", line);
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}

class Drawing {
  constructor(place, said) {
    this.place = place;
    this.said = said;
    this.known = new Set();
    this.nodes = {};
  }

  async open(id) {
    // cytoscape writes a style element unless one of this name is there; our own sheet says what it would.
    const standIn = document.createElement("span");
    standIn.id = "__________cytoscape_stylesheet";
    standIn.hidden = true;
    this.place.before(standIn);
    await LIBRARIES.reduce((before, path) => before.then(() => load(path)), Promise.resolve());
    window.cytoscape.use(window.cytoscapeElk);
    this.here = id;
    this.graph = window.cytoscape({ container: this.place, style: look(), userZoomingEnabled: false, maxZoom: 1.5 });
    this.graph.on("tap", "node", (event) => this.choose(event.target.id()));
    await this.add(id);
    this.choose(id);
  }

  async add(id) {
    if (this.known.has(id)) return;
    this.known.add(id);
    const answer = await fetch(`/api/v1/datasets/${id}/lineage`);
    if (!answer.ok) throw new Error(gettext("The lineage could not be loaded. Try again."));
    const found = await answer.json();
    for (const node of found.nodes) this.nodes[node.id] = node;
    const near = [...found.ancestors.filter((edge) => edge.child === id), ...found.children];
    for (const edge of near) this.draw(edge);
    if (!near.length) this.node(id);
    const direction = this.place.clientWidth < 520 ? "DOWN" : "RIGHT";
    this.graph.layout({ name: "elk", elk: { algorithm: "layered", "elk.direction": direction, "elk.layered.spacing.nodeNodeBetweenLayers": direction === "DOWN" ? 60 : 110 }, animate: false, fit: true, padding: 24 }).run();
  }

  title(id) {
    return this.nodes[id].title || gettext("A dataset that is not listed here");
  }

  node(id) {
    if (this.graph.getElementById(id).nonempty()) return;
    const data = { id, label: this.title(id) };
    if (this.nodes[id].manifest) data.mark = mark(this.nodes[id].manifest);
    this.graph.add({ data, classes: id === this.here ? "here" : "" });
  }

  draw({ parent, child, bps }) {
    this.node(parent);
    this.node(child);
    const id = `${parent}>${child}`;
    if (this.graph.getElementById(id).empty()) this.graph.add({ data: { id, source: parent, target: child, label: `${bps / 100} %` } });
  }

  async choose(id) {
    this.said.textContent = gettext("Loading …");
    try {
      await this.add(id);
      const link = document.createElement("a");
      link.href = `/d/${id}`;
      link.textContent = this.title(id);
      this.said.replaceChildren(link, ` ${gettext("Arrows lead from what was there before to what was built from it. Choose a dataset to see what is around it.")}`);
    } catch (error) {
      this.known.delete(id);
      this.said.textContent = error.message;
    }
  }
}

document.querySelectorAll("[data-lineage]").forEach((button) => {
  const place = document.getElementById(button.getAttribute("aria-controls"));
  const said = place.nextElementSibling;
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.hidden = true;
    place.hidden = false;
    said.textContent = gettext("Loading …");
    try {
      await new Drawing(place, said).open(button.dataset.lineage);
    } catch (error) {
      said.textContent = error.message;
      place.hidden = true;
      button.hidden = false;
    }
  });
});
