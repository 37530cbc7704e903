// The files under docker/ against the schemas that their readers publish; see `run`.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import Ajv from "ajv";
import ts from "typescript";
import { parse } from "yaml";

const root = new URL("../../", import.meta.url);
const read = (path) => readFileSync(new URL(path, root), "utf8");
const dashboards = readdirSync(new URL("docker/grafana/dashboards/", root));

test("the compose file is what the Compose Specification says", () => {
  const schema = JSON.parse(readFileSync(new URL("node_modules/dclint/schemas/compose.schema.json", import.meta.url), "utf8"));
  delete schema.$schema; // an https:// that Ajv does not know as draft 7
  const validate = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(schema);
  const compose = parse(read("docker/compose.yaml"), { merge: true });
  assert.ok(validate(compose), JSON.stringify(validate.errors, null, 2));
  assert.ok(!validate({ ...compose, services: { agent: { imagee: "x" } } }), "the schema takes anything");
});

test("every port of the compose file is published on loopback only, and nothing is `latest`", () => {
  const { services } = parse(read("docker/compose.yaml"), { merge: true });
  for (const [name, { image, ports = [] }] of Object.entries(services)) {
    assert.match(image, /:v?\d+\.\d+\.\d+$/, `${name}: ${image}`);
    for (const port of ports) assert.match(port, /^127\.0\.0\.1:/, `${name}: ${port}`);
  }
});

for (const name of dashboards) {
  test(`the dashboard ${name} is what Grafana's schema says`, () => {
    // As a program, so that the compiler holds each literal against the type; a JSON import would be looser.
    const source = `import type { Dashboard } from "@grafana/schema";\nexport const it: Dashboard = ${read(`docker/grafana/dashboards/${name}`)};`;
    assert.deepEqual(faults(source), []);
    assert.notDeepEqual(faults(source.replace(/"panels":/, '"panells":')), [], "the schema takes anything");
  });

  test(`the panels of ${name} have names, units and queries of their own`, () => {
    const { panels, uid } = JSON.parse(read(`docker/grafana/dashboards/${name}`));
    assert.match(uid, /^spanline-/);
    const ids = panels.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    for (const panel of panels.filter(({ type }) => type !== "row")) {
      assert.ok(panel.title && panel.targets.length > 0, JSON.stringify(panel));
      for (const { expr, datasource } of panel.targets) assert.ok(expr && datasource.uid === "prometheus", panel.title);
    }
  });
}

test("a line's ids lead to its trace, and `0` and `undefined` lead nowhere", () => {
  const { datasources } = parse(read("docker/grafana/provisioning/datasources/backends.yaml"));
  const fields = datasources.find(({ type }) => type === "loki").jsonData.derivedFields;
  const patterns = fields.filter(({ matcherType }) => matcherType !== "label").map(({ matcherRegex }) => new RegExp(matcherRegex));
  const found = (line) => patterns.map((pattern) => pattern.exec(line)?.[1]).find(Boolean);
  const id = "0af7651916cd43dd8448eb211c80319c";
  const lines = {
    text: `2026-11-23T17:28:00.123456Z INFO [trace_id=${id} span_id=00f067aa0ba902b7] checkout: hello`,
    winston: `[INFO] [trace_id=${id} span_id=00f067aa0ba902b7] hello {"level":"info"}`,
    python: `2026-11-23 17:28:00,123 INFO [a] [a.rs:1] [trace_id=${id} span_id=00f067aa0ba902b7 resource.service.name=a trace_sampled=True] - hello`,
    json: `{"timestamp":"2026-11-23T17:28:00.123456Z","message":"hello","trace_id":"${id}","trace_flags":"01"}`,
    logfmt: `ts=2026-11-23T17:28:00.123456Z level=info trace_id=${id} span_id=00f067aa0ba902b7 msg=hello`,
  };
  for (const [format, line] of Object.entries(lines)) {
    assert.equal(found(line), id, format);
    // As the seed's configuration has it in Loki: the whole line within a JSON object.
    assert.equal(found(JSON.stringify({ body: line })), id, `${format}, as JSON`);
  }
  for (const none of ["trace_id=0 span_id=0", "trace_id=undefined span_id=undefined", `trace_id=${"0".repeat(32)}`, '{"trace_id":"0"}']) {
    assert.equal(found(none), undefined, none);
  }
});

test("each data source that another leads to is there", () => {
  for (const file of ["provisioning/datasources/backends.yaml", "agent/datasources.yaml"]) {
    const { datasources } = parse(read(`docker/grafana/${file}`));
    const uids = new Set(datasources.map(({ uid }) => uid));
    const named = JSON.stringify(datasources).matchAll(/"datasourceUid":"([^"]*)"/g);
    for (const [, uid] of named) assert.ok(uids.has(uid), `${file} leads to ${uid}`);
  }
});

/** What the compiler says of `source`, as lines. */
function faults(source) {
  const file = new URL("dashboard.ts", import.meta.url).pathname;
  const options = {
    strict: true, noEmit: true, skipLibCheck: true,
    module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext,
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (path) => path === file || fileExists(path);
  host.getSourceFile = (path, ...rest) =>
    path === file ? ts.createSourceFile(path, source, ts.ScriptTarget.Latest) : getSourceFile.call(host, path, ...rest);
  const program = ts.createProgram([file], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
}
