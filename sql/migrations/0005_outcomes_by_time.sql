-- no-transaction
-- Finds what was posted since the verified point. Outcomes are only ever added, so their order on
-- disk is that of time and the index is a few pages. One statement a partition, none locks writers.
drop index if exists outcomes_0_by_time;
create index concurrently outcomes_0_by_time on outcomes_0
  using brin (posted_at) with (pages_per_range = 32, autosummarize = on);
drop index if exists outcomes_1_by_time;
create index concurrently outcomes_1_by_time on outcomes_1
  using brin (posted_at) with (pages_per_range = 32, autosummarize = on);
drop index if exists outcomes_2_by_time;
create index concurrently outcomes_2_by_time on outcomes_2
  using brin (posted_at) with (pages_per_range = 32, autosummarize = on);
drop index if exists outcomes_3_by_time;
create index concurrently outcomes_3_by_time on outcomes_3
  using brin (posted_at) with (pages_per_range = 32, autosummarize = on);
drop index if exists outcomes_4_by_time;
create index concurrently outcomes_4_by_time on outcomes_4
  using brin (posted_at) with (pages_per_range = 32, autosummarize = on);
drop index if exists outcomes_5_by_time;
create index concurrently outcomes_5_by_time on outcomes_5
  using brin (posted_at) with (pages_per_range = 32, autosummarize = on);
drop index if exists outcomes_6_by_time;
create index concurrently outcomes_6_by_time on outcomes_6
  using brin (posted_at) with (pages_per_range = 32, autosummarize = on);
drop index if exists outcomes_7_by_time;
create index concurrently outcomes_7_by_time on outcomes_7
  using brin (posted_at) with (pages_per_range = 32, autosummarize = on);
