// What counts as passed, in one place for every kind of run. Latencies are those of the seeds where
// they name one (coupon check p95 < 50 ms, payment accepted p95 < 200 ms, read p95 < 100 ms).
// Invariant: dropped iterations fail a run, since a generator that cannot keep its timetable
// measures itself and not the server.
export const thresholds = {
  http_req_failed: ['rate<0.001'],
  checks: ['rate>0.999'],
  dropped_iterations: ['count<1'],
  'http_req_duration{name:validate}': ['p(95)<50'],
  'http_req_duration{name:redeem}': ['p(95)<200'],
  'http_req_duration{name:events}': ['p(95)<200'],
  'http_req_duration{name:balance}': ['p(95)<100'],
};
