// Alerts and the dashboard of payments: every series and label that they name exists, every alert
// has a runbook and a test, and where promtool is at hand, its tests of the rules pass.
import { describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { card, openPayments } from '../payments/payment-stack.ts';
import { eventually } from '../processes.ts';

const root = join(import.meta.dir, '../..');
const folder = join(root, 'deploy/prometheus');

interface Rules {
  groups: { rules: (Recorded | Alert)[] }[];
}
interface Recorded {
  record: string;
  expr: string;
}
interface Alert {
  alert: string;
  expr: string;
  labels: { severity: string };
  annotations: { summary: string; runbook: string };
}
interface Tests {
  tests: { alert_rule_test: { alertname: string; exp_alerts: object[] }[] }[];
}

async function yaml<T>(name: string): Promise<T> {
  return Bun.YAML.parse(await Bun.file(join(folder, name)).text()) as T;
}

const { groups } = await yaml<Rules>('payments.rules.yml');
const rules = groups.flatMap((group) => group.rules);
const alerts = rules.filter((rule): rule is Alert => 'alert' in rule);
const { panels } = (await Bun.file(join(root, 'deploy/grafana/payments.json')).json()) as {
  panels: { targets: { expr: string }[] }[];
};
const drawn = panels.flatMap(({ targets }) => targets);
const recorded = new Set(rules.flatMap((rule) => ('record' in rule ? [rule.record] : [])));

interface Asked {
  series: string;
  labels: string[];
}

/** What a rule asks for, but for what other rules have recorded. */
function askedBy({ expr }: { expr: string }): Asked[] {
  const found = expr.matchAll(/\b(tallyrace[_:][\w:]+)(?:\{([^}]*)\})?/g);
  return [...found]
    .map(([, series, matchers = '']) => ({
      series: series!,
      labels: [...matchers.matchAll(/(\w+)\s*[=!]/g)].map(([, label]) => label!),
    }))
    .filter(({ series }) => {
      if (series.includes(':') && !recorded.has(series)) throw new Error(`no rule makes ${series}`);
      return !recorded.has(series);
    });
}

test('every rule and panel asks for something, of rules recorded or of series', () => {
  for (const { expr } of [...rules, ...drawn]) expect(expr).toMatch(/\btallyrace[_:]/);
  expect(rules.flatMap(askedBy).length).toBeGreaterThan(10);
});

test('what is asked for is there, with the labels that it is asked by', async () => {
  const { ask, becomes, client, sandbox } = await openPayments('alerts');
  const { body: paid } = await ask('/v1/payments', card({ gateway: 'stripe' }));
  await becomes(paid['id'] as string, 'captured');
  const method = { type: 'card', token: 'pm_card_visa_chargeDeclined' };
  const { body: failed } = await ask('/v1/payments', card({ gateway: 'stripe', method }));
  await becomes(failed['id'] as string, 'failed');
  // A call that waits, so that lanes have something to tell of.
  await sandbox.control('PATCH', '/settings', { stripe: { down: 'refused' } });
  await ask('/v1/payments', card({ gateway: 'stripe' }));
  for (const { series, labels } of [...rules, ...drawn].flatMap(askedBy))
    await eventually(`${series} {${labels.join()}}`, async () => {
      const { body } = await client.get<{ text: string }>('/metrics');
      return body.text
        .split('\n')
        .some(
          (line) =>
            line.startsWith(`${series}{`) && labels.every((label) => line.includes(`${label}="`)),
        );
    });
}, 30_000);

describe.each(alerts)('$alert', ({ alert, annotations, labels }) => {
  test('says what is wrong, how badly, and where to read on', async () => {
    expect(['page', 'ticket']).toContain(labels.severity);
    expect(annotations.summary).not.toBe('');
    const [page, place] = annotations.runbook.split('#') as [string, string];
    const text = await Bun.file(join(root, page)).text();
    const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading!.toLowerCase());
    expect(headings).toContain(place);
  });

  test('is shown to fire', async () => {
    const { tests } = await yaml<Tests>('payments.test.yml');
    const fires = tests
      .flatMap((each) => each.alert_rule_test)
      .some(({ alertname, exp_alerts }) => alertname === alert && exp_alerts.length > 0);
    expect(fires).toBe(true);
  });
});

const promtool = Bun.which('promtool');

// Where there is none, the rules are read by the tests above only.
test.skipIf(promtool === null)(
  'promtool finds them right, and each alert as it is told (skipped where there is no promtool)',
  () => {
    for (const args of [
      ['check', 'rules', 'payments.rules.yml'],
      ['test', 'rules', 'payments.test.yml'],
      ['check', 'config', 'prometheus.yml'],
    ]) {
      const { exitCode, stdout, stderr } = Bun.spawnSync([promtool!, ...args], { cwd: folder });
      expect([exitCode, `${stdout.toString()}${stderr.toString()}`]).toEqual([
        0,
        expect.not.stringContaining('FAILED'),
      ]);
    }
  },
  60_000,
);
