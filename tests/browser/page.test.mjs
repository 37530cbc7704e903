// What a person does with the page: newest lines, a click to the trace, back to the lines, a search.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const READY_WITHIN_MS = 30_000;
const demo = { process: undefined, folder: undefined, printed: "", pageUrl: undefined, traceId: undefined, somethingUrl: undefined };
let browser;

before(async () => {
  demo.folder = await mkdtemp(join(tmpdir(), "spanline-page-"));
  const ports = ["api-node", "api-python", "api-node-metrics", "api-python-metrics", "otlp-grpc", "otlp-http", "health", "self-metrics", "prometheus", "web"];
  const flags = ports.flatMap((name) => [`--${name}-port`, "0"]);
  demo.process = spawn(process.env.SPANLINE_DEMO, ["--dir", demo.folder, ...flags]);
  const link = /(http:\/\/127\.0\.0\.1:\d+)\/trace\/([0-9a-f]{32})/;
  await new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`${why}; it printed:\n${demo.printed}`));
    const timer = setTimeout(() => fail("the demo printed no link in time"), READY_WITHIN_MS);
    const read = (chunk) => {
      demo.printed += chunk;
      const found = link.exec(demo.printed);
      if (found) {
        [, demo.pageUrl, demo.traceId] = found;
        [demo.somethingUrl] = /http:\/\/127\.0\.0\.1:\d+\/something/.exec(demo.printed);
        clearTimeout(timer);
        resolve();
      }
    };
    demo.process.stdout.on("data", read);
    demo.process.stderr.on("data", read);
    demo.process.on("exit", (code) => fail(`the demo ended with ${code}`));
  });
  browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"],
  });
});

after(async () => {
  await browser?.close();
  demo.process?.removeAllListeners("exit");
  if (demo.process?.exitCode === null) {
    const ended = new Promise((resolve) => demo.process.once("exit", resolve));
    demo.process.kill("SIGTERM");
    await ended;
  }
  if (demo.folder) await rm(demo.folder, { recursive: true, force: true });
});

/** A page on which every error of script, style or content policy fails the test. */
async function open(path, options = {}) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options });
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  const answer = await page.goto(demo.pageUrl + path);
  assert.equal(answer.status(), 200, path);
  return { page, faults };
}

async function picture(page, name) {
  if (process.env.SCREENSHOTS) {
    await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`) });
  }
}

test("a line leads to its trace, and the trace to its lines", async () => {
  const { page, faults } = await open("/");
  await picture(page, "lines");
  await page.locator(`a[href*="/trace/${demo.traceId}"]`).first().click();
  await page.waitForURL(`**/trace/${demo.traceId}*`);
  const text = await page.locator("body").innerText();
  for (const expected of ["api-node", "api-python", "GET /something", "hello world!"]) {
    assert.ok(text.includes(expected), `the trace's page lacks ${expected}:\n${text}`);
  }
  assert.ok((await page.locator("svg rect").count()) >= 3, "a waterfall has a bar for each span");
  await picture(page, "trace");
  await page.locator(`a[href*="trace_id=${demo.traceId}"]`).first().click();
  const lines = await page.locator("body").innerText();
  assert.ok(lines.includes("hello world!"), `the lines of the trace are listed:\n${lines}`);
  assert.deepEqual(faults, []);
});

test("the lines of a trace stand in the order in which they were logged, each within its span", async () => {
  const { page } = await open(`/trace/${demo.traceId}`);
  const lines = page.locator("table.of-trace tbody tr");
  const services = await lines.locator(".service").allInnerTexts();
  assert.deepEqual(services, ["api-python", "api-node"], "what was asked answers before the one who asked goes on");
  const times = await lines.locator("time").evaluateAll((all) => all.map((time) => time.getAttribute("datetime")));
  assert.deepEqual(times, times.toSorted());
  for (const [row, time] of times.entries()) {
    const own = /\d\d:\d\d:\d\d[.,]\d{3}/.exec(await lines.nth(row).locator(".text").innerText())[0];
    assert.equal(time.slice(11, 23), own.replace(",", "."), "the line's own time");
  }
  for (const span of await page.locator("details.span:has(circle.mark)").all()) {
    const box = async (part) => await span.locator(part).first().boundingBox();
    const [bar, mark] = [await box("rect"), await box("circle.mark")];
    const middle = mark.x + mark.width / 2;
    assert.ok(bar.x - 1 <= middle && middle <= bar.x + bar.width + 1, "a line lies on its span's bar");
  }
});

test("a service has one colour on all pages, and no line of a graph hides another", async () => {
  const { page, faults } = await open(`/trace/${demo.traceId}`);
  const legend = () =>
    page.locator(".legend li:has(.swatch)").evaluateAll((entries) =>
      Object.fromEntries(
        entries
          .map((entry) => [/^api-\w+/.exec(entry.textContent.trim())?.[0], getComputedStyle(entry.firstElementChild).fill])
          .filter(([name]) => name),
      ),
    );
  const ofTrace = await legend();
  assert.deepEqual(Object.keys(ofTrace).toSorted(), ["api-node", "api-python"]);
  assert.notEqual(ofTrace["api-node"], ofTrace["api-python"]);
  const deadline = Date.now() + READY_WITHIN_MS;
  do {
    assert.ok(Date.now() < deadline, "both services are drawn once they have pushed twice");
    await fetch(demo.somethingUrl);
    await page.goto(`${demo.pageUrl}/graphs`);
  } while ((await page.locator("section.chart").first().locator('path[d^="M"]').count()) < 2);
  assert.deepEqual(await legend(), ofTrace);
  const widths = await page
    .locator("section.chart")
    .first()
    .locator("path")
    .evaluateAll((paths) => paths.map((path) => Number.parseFloat(getComputedStyle(path).strokeWidth)));
  assert.ok(widths[0] > widths[1], `the lower line shows at the sides of the upper one: ${widths}`);
  assert.match(await page.locator("body").innerText(), /p95 and median are estimates/);
  await picture(page, "graphs");
  assert.deepEqual(faults, []);
});

test("a search by text shows the lines that have it, and no other", async () => {
  const { page, faults } = await open("/");
  await page.getByRole("searchbox").or(page.getByLabel(/text/i)).first().fill("hello world!");
  await page.keyboard.press("Enter");
  await page.waitForURL("**hello*");
  const found = await page.locator("body").innerText();
  assert.ok(found.includes("hello world!"), found);
  const rows = page.locator("tbody tr");
  const count = await rows.count();
  assert.ok(count >= 1, "at least one line is found");
  for (let row = 0; row < count; row += 1) {
    assert.match(await rows.nth(row).innerText(), /hello world!/);
  }
  assert.deepEqual(faults, []);
});

test("live shows a new line by itself", async () => {
  const { page, faults } = await open("/");
  await page.getByRole("button", { name: "Live" }).click();
  const traceId = "5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e";
  const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` };
  assert.equal((await fetch(demo.somethingUrl, { headers })).status, 200);
  await page.locator(`a[href*="/trace/${traceId}"]`).first().waitFor({ timeout: 15_000 });
  assert.deepEqual(faults, []);
});

test("everything can be read without JavaScript", async () => {
  const { page } = await open(`/trace/${demo.traceId}`, { javaScriptEnabled: false });
  assert.match(await page.locator("body").innerText(), /hello world!/);
  assert.ok((await page.locator("svg rect").count()) >= 3);
});

test("it stays readable on a dark screen and a narrow one", async () => {
  const { page } = await open("/", { colorScheme: "dark", viewport: { width: 400, height: 800 } });
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(wider <= 0, `the page is ${wider} px wider than the screen`);
  await picture(page, "lines-dark-narrow");
});
