// coupons: bulk work on codes. Import and export as CSV, generate from a pattern.
// Invariant: an import writes nothing when any row is wrong; generating never touches a code that
// is there already.
import { createReadStream, createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { userInfo } from 'node:os';
import type { Command } from 'commander';
import { CsvError, parse } from 'csv-parse';
import { stringify } from 'csv-stringify/sync';
import type { CouponTerms } from '../../schemas/coupons.ts';
import { COUPON_KIND } from '../cache/coupon-table.ts';
import { readConfig } from '../config.ts';
import { type Sql, connectPostgres } from '../io/postgres.ts';
import { textArray } from '../store/columns.ts';
import { getDocument, listDocuments, putDocuments } from '../store/documents.ts';
import { withServers } from '../supervisor/home.ts';
import { CodeGenerator, patternError } from './coupon-codes.ts';
import { type CsvRow, columns, errorsIn, parseRow, rowOf } from './coupons-csv.ts';
import { Failure, exitCodes } from './exit.ts';
import { progress } from './progress.ts';

const PAGE = 2_000;
const ERRORS_SHOWN = 20;

interface Shared {
  tenant: string;
  json?: boolean;
}
interface GenerateOptions extends Shared {
  pattern: string;
  count: string;
  like?: string;
  terms?: string;
  out?: string;
}

export function addCoupons(program: Command): void {
  const verb = program.command('coupons').description('import, export and generate coupon codes');
  verb
    .command('import <file>')
    .description(`create or change coupons from CSV with the columns ${columns.join(', ')}`)
    .option('--tenant <name>', 'whose coupons', 'demo')
    .option('--json', 'print JSON')
    .action((file: string, options: Shared) =>
      withTenant(options, (sql, tenant) => importFile(sql, tenant, file, options)),
    );
  verb
    .command('export [file]')
    .description('write all coupons as CSV, to a file or to standard output')
    .option('--tenant <name>', 'whose coupons', 'demo')
    .action((file: string | undefined, options: Shared) =>
      withTenant(options, (sql, tenant) => exportFile(sql, tenant, file)),
    );
  verb
    .command('generate')
    .description('make codes from a pattern; each # is a random letter or digit')
    .requiredOption('--pattern <pattern>', "such as 'SUMMER-####-####'")
    .requiredOption('--count <n>', 'how many')
    .option('--like <code>', 'with the terms of this coupon')
    .option('--terms <json>', 'with these terms, as for PUT /v1/coupons/{code}')
    .option('--out <file>', 'write the codes to this file, one a line')
    .option('--tenant <name>', 'whose coupons', 'demo')
    .option('--json', 'print JSON')
    .action((options: GenerateOptions) =>
      withTenant(options, (sql, tenant) => generate(sql, tenant, options)),
    );
}

async function importFile(sql: Sql, tenant: number, file: string, options: Shared): Promise<void> {
  const total = await checkFile(file);
  const bar = progress('importing', total);
  const counts = { created: 0, changed: 0, unchanged: 0 };
  let page: { key: string; body: CouponTerms }[] = [];
  const write = async (): Promise<void> => {
    const before = await versionsOf(sql, tenant, page);
    const put = await putDocuments(sql, tenant, COUPON_KIND, page, actor());
    for (const { key, version, created } of put) {
      if (created) counts.created++;
      else if (before.get(key) === version) counts.unchanged++;
      else counts.changed++;
    }
    bar.add(page.length);
    page = [];
  };
  for await (const { row } of rowsOf(file)) {
    const parsed = parseRow(row);
    if ('errors' in parsed) throw new Failure(`${file} changed meanwhile`, exitCodes.checkFailed);
    page.push({ key: parsed.code, body: parsed.terms });
    if (page.length === PAGE) await write();
  }
  if (page.length > 0) await write();
  bar.end();
  const { created, changed, unchanged } = counts;
  say(options, counts, `${created} created, ${changed} changed, ${unchanged} as they were`);
}

/** Reads all of it before anything is written. Gives the number of rows. */
async function checkFile(file: string): Promise<number> {
  const errors: string[] = [];
  const codes = new Set<string>();
  for await (const { row, line } of rowsOf(file)) {
    const parsed = parseRow(row);
    if ('errors' in parsed) errors.push(...parsed.errors.map((error) => `line ${line}: ${error}`));
    else if (codes.has(parsed.code)) errors.push(`line ${line}: code: it is here twice`);
    else codes.add(parsed.code);
  }
  if (errors.length === 0) return codes.size;
  const more = errors.length > ERRORS_SHOWN ? [`and ${errors.length - ERRORS_SHOWN} more`] : [];
  const shown = [...errors.slice(0, ERRORS_SHOWN), ...more].join('\n');
  throw new Failure(`nothing was imported:\n${shown}`, exitCodes.checkFailed);
}

async function* rowsOf(file: string): AsyncGenerator<{ row: CsvRow; line: number }> {
  const known: readonly string[] = columns;
  const readHeader = (header: string[]): string[] => {
    const unknown = header.filter((name) => !known.includes(name));
    if (unknown.length > 0 || !header.includes('code'))
      throw new Failure(`the first line must name columns of: ${columns.join(', ')}`, 2);
    return header;
  };
  const parser = parse({ bom: true, columns: readHeader, info: true, skip_empty_lines: true });
  const source = createReadStream(file);
  source.on('error', (error) => parser.destroy(error));
  source.pipe(parser);
  try {
    for await (const { record, info } of parser as AsyncIterable<CsvRecord>)
      yield { row: record, line: info.lines };
  } catch (error) {
    if (error instanceof CsvError) throw new Failure(error.message, exitCodes.checkFailed);
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      throw new Failure(`there is no file ${file}`, exitCodes.usage);
    throw error;
  } finally {
    source.destroy();
  }
}

interface CsvRecord {
  record: CsvRow;
  info: { lines: number };
}

async function versionsOf(
  sql: Sql,
  tenant: number,
  page: readonly { key: string }[],
): Promise<Map<string, number>> {
  const codes = textArray(page.map(({ key }) => key));
  const rows = await sql`select * from coupon_versions(${tenant}, ${codes}::text::text[])`;
  return new Map(rows.map((row) => [row['code'] as string, row['version'] as number]));
}

async function exportFile(sql: Sql, tenant: number, file: string | undefined): Promise<void> {
  const out = file === undefined ? process.stdout : createWriteStream(file);
  const bar = progress('exporting', null);
  const write = async (text: string): Promise<void> => {
    if (!out.write(text)) await once(out, 'drain');
  };
  await write(stringify([columns.slice()]));
  for (let after = ''; ;) {
    const page = await listDocuments<CouponTerms>(sql, tenant, COUPON_KIND, { after, limit: PAGE });
    const rows = page.map(({ key, body }) => rowOf(key, body));
    if (rows.length > 0) await write(stringify(rows, { columns: columns.slice() }));
    bar.add(page.length);
    if (page.length < PAGE) break;
    after = page.at(-1)!.key;
  }
  bar.end();
  if (file !== undefined) await endOf(out);
}

async function generate(sql: Sql, tenant: number, options: GenerateOptions): Promise<void> {
  const { pattern, out } = options;
  const count = Number(options.count);
  if (!Number.isInteger(count) || count < 1 || count > 10_000_000)
    throw new Failure('--count: a number from 1 to 10,000,000', exitCodes.usage);
  const wrong = patternError(pattern, count);
  if (wrong !== null) throw new Failure(`--pattern: ${wrong}`, exitCodes.usage);
  const body = await termsFor(sql, tenant, options);
  const codes = new CodeGenerator(pattern);
  const file = out === undefined ? null : createWriteStream(out);
  const bar = progress('generating', count);
  for (let made = 0; made < count;) {
    const wanted = codes.take(Math.min(PAGE, count - made));
    const pages = wanted.map((key) => ({ key }));
    const taken = await versionsOf(sql, tenant, pages);
    const free = wanted.filter((code) => !taken.has(code));
    const documents = free.map((key) => ({ key, body }));
    if (free.length > 0) await putDocuments(sql, tenant, COUPON_KIND, documents, actor());
    if (file && !file.write(`${free.join('\n')}\n`)) await once(file, 'drain');
    made += free.length;
    bar.add(free.length);
  }
  bar.end();
  if (file) await endOf(file);
  say(options, { created: count }, `${count} codes made`);
}

async function termsFor(
  sql: Sql,
  tenant: number,
  { like, terms }: GenerateOptions,
): Promise<CouponTerms> {
  if ((like === undefined) === (terms === undefined))
    throw new Failure('give either --like or --terms', exitCodes.usage);
  if (like !== undefined) {
    const found = await getDocument<CouponTerms>(sql, tenant, COUPON_KIND, like);
    if (!found) throw new Failure(`there is no coupon ${like}`, exitCodes.usage);
    return found.body;
  }
  return termsFrom(terms!);
}

function termsFrom(text: string): CouponTerms {
  let terms: unknown;
  try {
    terms = JSON.parse(text);
  } catch {
    throw new Failure('--terms: not JSON', exitCodes.usage);
  }
  const errors = errorsIn(terms).map(({ pointer, detail }) => `${pointer}: ${detail}`);
  if (errors.length > 0) throw new Failure(`--terms: ${errors.join('; ')}`, exitCodes.usage);
  return terms as CouponTerms;
}

async function withTenant(
  { tenant: name }: Shared,
  work: (sql: Sql, tenant: number) => Promise<void>,
): Promise<void> {
  const { databaseUrl } = withServers(readConfig(process.env));
  const sql = connectPostgres(databaseUrl, { max: 1, name: 'coupons', asOwner: true });
  try {
    const [row] = await sql`select id from tenants where name = ${name}`;
    if (!row) throw new Failure(`there is no tenant ${name}`, exitCodes.usage);
    await work(sql, row['id'] as number);
  } finally {
    await sql.end({ timeout: 5 });
  }
}

async function endOf(out: NodeJS.WritableStream): Promise<void> {
  out.end();
  await once(out, 'finish');
}

function say({ json }: Shared, facts: object, sentence: string): void {
  console.log(json ? JSON.stringify(facts) : sentence);
}

function actor(): string {
  return `cli:${userInfo().username}`;
}
