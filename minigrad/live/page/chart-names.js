// The lanes' names beside a chart, at the ends of their lines.
export function namesFont(c, ratio) {
  return `600 ${Math.round(c.size * 0.86) * ratio}px ${c.font}`;
}

// ends: [{x, y, lane, weak, above}], where the lines end; box: the plot; margin: room at its right
export function drawNames(ctx, c, ends, box, margin) {
  const ratio = devicePixelRatio;
  const { left, top, width, height } = box;
  // Smaller where there is no room for all.
  const size = Math.min(Math.round(c.size * 0.86) * ratio, height / ends.length / 1.1);
  const space = size * (ends.length * size * 1.22 > height ? 1.1 : 1.22);
  ctx.font = `600 ${size}px ${c.font}`;
  ends.sort((a, b) => a.y - b.y);
  apart(ends, space, top + space / 2, top + height - space / 2);
  const right = left + width;
  for (const end of ends) {
    const colour = c.lanes[end.lane.look];
    ctx.globalAlpha = end.weak ? 0.4 : 1;
    ctx.fillStyle = colour;
    ctx.strokeStyle = colour;
    // A lane that has stopped ends with a cross, others with a dot.
    const mark = 4.2 * ratio;
    ctx.lineWidth = 2.4 * ratio;
    ctx.beginPath();
    if (end.lane.status === "diverged") {
      ctx.moveTo(end.x - mark, end.y - mark);
      ctx.lineTo(end.x + mark, end.y + mark);
      ctx.moveTo(end.x + mark, end.y - mark);
      ctx.lineTo(end.x - mark, end.y + mark);
      ctx.stroke();
    } else if (end.above) {
      // It has left the picture at the top.
      ctx.moveTo(end.x, top - mark);
      ctx.lineTo(end.x + mark * 1.2, top + mark);
      ctx.lineTo(end.x - mark * 1.2, top + mark);
      ctx.fill();
    } else {
      ctx.arc(end.x, end.y, mark, 0, 7);
      ctx.fill();
    }
    const from = right + 14 * ratio;
    // No line from a lane that stopped long ago: it would look like its course.
    if (end.x > right - 60 * ratio) {
      ctx.lineWidth = 1.2 * ratio;
      ctx.globalAlpha *= 0.6;
      ctx.beginPath();
      ctx.moveTo(Math.min(end.x + 6 * ratio, right + 4 * ratio), end.y);
      ctx.lineTo(from - 2 * ratio, end.at);
      ctx.stroke();
      ctx.globalAlpha = end.weak ? 0.4 : 1;
    }
    ctx.fillStyle = c.inks[end.lane.look];
    ctx.fillText(fitted(ctx, end.lane.name, margin * ratio - 18 * ratio), from + 2, end.at);
  }
}

// Move names apart, as little as needed: those that would overlap become a stack around their middle.
function apart(ends, space, low, high) {
  const stacks = [];
  for (const end of ends) {
    stacks.push({ ends: [end], middle: end.y });
    while (stacks.length > 1) {
      const [above, below] = stacks.slice(-2);
      const gap = below.middle - above.middle - (space * (above.ends.length + below.ends.length)) / 2;
      if (gap >= 0) break;
      stacks.splice(-2, 2, within([...above.ends, ...below.ends]));
    }
    stacks.push(within(stacks.pop().ends));
  }
  for (const stack of stacks) {
    stack.ends.forEach((end, k) => {
      end.at = stack.middle + (k - (stack.ends.length - 1) / 2) * space;
    });
  }

  function within(of) {
    const half = ((of.length - 1) * space) / 2;
    const mean = of.reduce((sum, end) => sum + end.y, 0) / of.length;
    return { ends: of, middle: Math.max(low + half, Math.min(high - half, mean)) };
  }
}

// A name that fits. "forward gradient, K = 16" becomes "forward gr…, K = 16": the longest part is cut.
const cut = new Map();
function fitted(ctx, text, width) {
  const key = `${ctx.font}|${width}|${text}`;
  if (cut.has(key)) return cut.get(key);
  const parts = text.split(", ").map((part) => ({ text: part, cut: false }));
  const joined = () => parts.map((part) => part.text + (part.cut ? "…" : "")).join(", ");
  while (ctx.measureText(joined()).width > width) {
    const longest = parts.reduce((a, b) => (b.text.length > a.text.length ? b : a));
    if (longest.text.length < 3) break;
    longest.text = longest.text.slice(0, -1).trimEnd();
    longest.cut = true;
  }
  if (cut.size > 500) cut.clear();
  cut.set(key, joined());
  return joined();
}
