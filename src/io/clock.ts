// Time is injected, so that tests can skew it. Milliseconds since the epoch.
export type Clock = () => number;
export const systemClock: Clock = () => Date.now();
