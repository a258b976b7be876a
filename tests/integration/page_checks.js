// What a test asks of the page as it is drawn.

// How many colours each chart shows: its ground, and lines.
var colours = () =>
  [...document.querySelectorAll(".plot canvas")].map((canvas) => {
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    const seen = new Set();
    for (let i = 0; i < pixels.length; i += 4)
      if (pixels[i + 3] > 200) seen.add([pixels[i] >> 5, pixels[i + 1] >> 5, pixels[i + 2] >> 5].join());
    return seen.size;
  });

// Relative luminance (WCAG 2.2) of a colour as the browser computes it.
var luminance = (text) =>
  text
    .match(/[\d.]+/g)
    .slice(0, 3)
    .map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);

var behind = (element) => {
  for (let one = element; one; one = one.parentElement) {
    const colour = getComputedStyle(one).backgroundColor;
    if (!/, 0\)$|transparent/.test(colour)) return colour;
  }
  return "rgb(255, 255, 255)";
};

// Texts whose contrast with what is behind them is below 4.5.
var pale = () =>
  [...document.querySelectorAll("body *")]
    .filter((one) => one.checkVisibility() && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .map((one) => {
      const [a, b] = [luminance(getComputedStyle(one).color), luminance(behind(one))];
      return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), `${one.className} ${one.innerText.slice(0, 40)}`];
    })
    .filter(([ratio]) => ratio < 4.5);

// Controls and tables that a screen reader could not name.
var nameless = () =>
  [...document.querySelectorAll("button, input, select, table, meter, progress, [role=region]")]
    .filter((one) => one.checkVisibility())
    .filter((one) => !(one.ariaLabel || one.innerText?.trim() || one.labels?.length || one.closest("section[aria-labelledby]")))
    .map((one) => one.outerHTML);
