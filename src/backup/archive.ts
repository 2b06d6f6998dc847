// A backup on disk: a directory of files for its owner's eyes, their checksums in SHA256SUMS, as
// `sha256sum -c` reads them.
// Invariant: SHA256SUMS is written last, so a backup without it was not finished; what is read of a
// backup has the checksum that was written down.
import { createHash } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createZstdCompress, createZstdDecompress } from 'node:zlib';

const SUMS = 'SHA256SUMS';
const SUM_LINE = /^([0-9a-f]{64}) {2}(\S+)$/;

/** What is wrong with a backup, or with the place for it; the message names the file. */
export class ArchiveError extends Error {}

export class ArchiveWriter {
  private readonly sums = new Map<string, string>();

  /** Takes a directory that is empty or is not there yet. */
  constructor(readonly dir: string) {
    if (existsSync(dir) && readdirSync(dir).length > 0)
      throw new ArchiveError(`${dir} is not empty; a backup goes into a directory of its own`);
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  }

  /** Compressed; gives the bytes that went in. */
  async writeCompressed(name: string, chunks: AsyncIterable<string | Buffer>): Promise<number> {
    let bytes = 0;
    const counted = async function* (): AsyncGenerator<Buffer> {
      for await (const chunk of chunks) {
        const buffer = Buffer.from(chunk);
        bytes += buffer.length;
        yield buffer;
      }
    };
    const hash = createHash('sha256');
    const hashed = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        hash.update(chunk);
        done(null, chunk);
      },
    });
    const file = createWriteStream(join(this.dir, name), { flags: 'wx', mode: 0o600, flush: true });
    await pipeline(Readable.from(counted()), createZstdCompress(), hashed, file);
    this.sums.set(name, hash.digest('hex'));
    return bytes;
  }

  /** Writes the manifest and the checksums: from here on it is a backup. */
  finish(name: string, manifest: object): void {
    const text = `${JSON.stringify(manifest, null, 2)}\n`;
    const options = { mode: 0o600, flush: true, flag: 'wx' } as const;
    writeFileSync(join(this.dir, name), text, options);
    this.sums.set(name, createHash('sha256').update(text).digest('hex'));
    const lines = [...this.sums].map(([file, sum]) => `${sum}  ${file}\n`);
    writeFileSync(join(this.dir, SUMS), lines.join(''), options);
  }

  get bytesOnDisk(): number {
    return [...this.sums.keys()].reduce(
      (sum, name) => sum + statSync(join(this.dir, name)).size,
      0,
    );
  }
}

export class ArchiveReader {
  private constructor(private readonly dir: string) {}

  /** Reads every file once and compares; rejects with the names of those that differ. */
  static async open(dir: string): Promise<ArchiveReader> {
    if (!existsSync(join(dir, SUMS)))
      throw new ArchiveError(`${dir} holds no finished backup: there is no ${SUMS}`);
    const damaged: string[] = [];
    for (const line of readFileSync(join(dir, SUMS), 'utf8').trimEnd().split('\n')) {
      const [, sum, name] = SUM_LINE.exec(line) ?? [];
      if (!sum || !name) damaged.push(SUMS);
      else if ((await sumOf(join(dir, name))) !== sum) damaged.push(name);
    }
    if (damaged.length > 0)
      throw new ArchiveError(`the backup in ${dir} is damaged: ${damaged.join(', ')}`);
    return new ArchiveReader(dir);
  }

  json(name: string): unknown {
    return JSON.parse(readFileSync(join(this.dir, name), 'utf8'));
  }

  bytes(name: string): AsyncIterable<Buffer> {
    return createReadStream(join(this.dir, name)).pipe(createZstdDecompress());
  }

  async *lines(name: string): AsyncGenerator<string> {
    let rest = '';
    const decoder = new TextDecoder();
    for await (const chunk of this.bytes(name)) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop()!;
      yield* lines;
    }
    if (rest !== '') throw new ArchiveError(`${name} ends in the middle of a row`);
  }
}

/** Null when the file is missing. */
async function sumOf(file: string): Promise<string | null> {
  if (!existsSync(file)) return null;
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
