/* The parcel mark, as provenance/core/parcel.py draws it: the same arithmetic in the same order, so the same text. */

const CUTS = 8;
const TONES = [[26, 88], [30, 76], [36, 63], [40, 48]];
const ACCENT_ABOVE = 235;

function area(plot) {
  let total = 0;
  plot.forEach(([x, y], i) => {
    const [u, v] = plot[(i + 1) % plot.length];
    total += x * v - u * y;
  });
  return Math.abs(total) / 2;
}

function sum(values) {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

function cut(plot, tilt, shift) {
  const xs = plot.map((p) => p[0]), ys = plot.map((p) => p[1]);
  const centerX = sum(xs) / plot.length, centerY = sum(ys) / plot.length;
  const width = Math.max(...xs) - Math.min(...xs), height = Math.max(...ys) - Math.min(...ys);
  const slope = (tilt / 255 - 0.5) * 0.96;
  const along = width > height ? [-slope, 1] : [1, slope];
  const offset = (shift / 255 - 0.5) * 0.34 * Math.min(width, height);
  const fromX = centerX - along[1] * offset, fromY = centerY + along[0] * offset;
  const left = [], right = [];
  const sides = plot.map(([x, y]) => (y - fromY) * along[0] - (x - fromX) * along[1]);
  plot.forEach((here, i) => {
    const after = (i + 1) % plot.length;
    (sides[i] >= 0 ? left : right).push(here);
    if (sides[i] * sides[after] < 0) {
      const part = sides[i] / (sides[i] - sides[after]), there = plot[after];
      const crossing = [here[0] + part * (there[0] - here[0]), here[1] + part * (there[1] - here[1])];
      left.push(crossing);
      right.push(crossing);
    }
  });
  return [left, right];
}

function polygon(plot, hue, byte) {
  const [saturation, lightness] = TONES[byte % 4];
  const shade = byte > ACCENT_ABOVE ? (hue + 150) % 360 : hue;
  const points = plot.map(([x, y]) => `${Math.floor(x * 10 + 0.5)},${Math.floor(y * 10 + 0.5)}`).join(" ");
  return `<polygon points="${points}" fill="hsl(${shade} ${saturation}% ${lightness}%)"` +
    ' stroke="var(--panel)" stroke-width="22" stroke-linejoin="round"/>';
}

/* digest: Uint8Array of 32 bytes. Returns the text of one SVG. */
export function drawParcel(digest, size = 96, label = "parcel mark") {
  let plots = [[[4, 4], [96, 4], [96, 96], [4, 96]]];
  for (let k = 0; k < CUTS; k++) {
    plots.sort((a, b) => area(b) - area(a));
    plots.push(...cut(plots.shift(), digest[k], digest[k + CUTS]));
  }
  plots.sort((a, b) => a[0][0] - b[0][0] || a[0][1] - b[0][1]);
  const hue = (digest[16] * 256 + digest[17]) % 360;
  return `<svg class="parcel" width="${size}" height="${size}" viewBox="0 0 1000 1000" role="img" aria-label="${label}">` +
    '<rect x="10" y="10" width="980" height="980" fill="var(--panel)" stroke="var(--line)" stroke-width="10"/>' +
    plots.map((plot, i) => polygon(plot, hue, digest[18 + i])).join("") + "</svg>";
}

export function bytesOfHex(hex) {
  return Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
}
