// CloudEvents 1.0 over HTTP (structured, batched and binary mode) to our own form of an event.
// `source` is required but is not part of the identity: ids are unique within a tenant.
// Invariant: what is not a CloudEvent comes out as something that the event's shape refuses.

export const STRUCTURED = 'application/cloudevents+json';
export const BATCHED = 'application/cloudevents-batch+json';

/** The native form; values are passed on unchecked. Null when it is not a CloudEvent at all. */
export function fromCloudEvent(value: unknown): Record<string, unknown> | null {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return null;
  const { specversion, source, id, type, time, datacontenttype, data } = value as Record<
    string,
    unknown
  >;
  if (specversion !== '1.0' || typeof source !== 'string' || source === '') return null;
  if (datacontenttype !== undefined && !isJson(datacontenttype)) return null;
  return { id, type, ...(time !== undefined && time !== null && { time: utc(time) }), data };
}

export function isBinaryMode(headers: Headers): boolean {
  return headers.has('ce-specversion');
}

/** Binary mode: attributes in `ce-` headers, percent-encoded; the body is the data. */
export function fromBinary(headers: Headers, data: unknown): Record<string, unknown> | null {
  const attribute = (name: string): string | undefined => {
    const value = headers.get(`ce-${name}`);
    return value === null ? undefined : percentDecoded(value);
  };
  return fromCloudEvent({
    specversion: attribute('specversion'),
    source: attribute('source'),
    id: attribute('id'),
    type: attribute('type'),
    time: attribute('time'),
    data,
  });
}

function isJson(contentType: unknown): boolean {
  return typeof contentType === 'string' && /^application\/(.+\+)?json\b/.test(contentType);
}

/** Offsets are allowed in CloudEvents; our times are in UTC. */
function utc(time: unknown): unknown {
  if (typeof time !== 'string' || time.endsWith('Z')) return time;
  const parsed = Date.parse(time);
  return Number.isNaN(parsed) ? time : new Date(parsed).toISOString();
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
