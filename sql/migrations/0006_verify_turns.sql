-- When the last periodic verification began: whoever finds that long ago enough takes its turn.
alter table verified_point add column begun_at timestamptz not null default now();
