-- One batch of events. Each statement sees what the one before it locked: under READ COMMITTED a
-- statement's snapshot is older than a lock that it waits for itself.

-- :name plan_for_any_size
-- For this transaction: plans that are made once, and find the rows that are asked for through an
-- index. Left to itself, Postgres plans for every number of events anew, and where a batch is large
-- it reads whole tables.
select set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true),
       set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true);

-- :name lock_machines
-- Shared with other events, exclusive to a deployment. A machine of an actor never changes, so
-- reading it before the lock is safe. Ascending, so that batches do not wait in a circle. What is locked is
-- remembered for this transaction: an actor that is spawned meanwhile may belong to another machine.
with locked as materialized (
  select m.machine_id, pg_advisory_xact_lock_shared(:space, m.machine_id)
    from (select distinct a.machine_id
            from statekeep.actor a
           where a.key = any(cast(:keys as uuid[]))
           order by a.machine_id) as m
)
select set_config('statekeep.locked', coalesce(string_agg(cast(l.machine_id as text), ','), ''), true),
       cast(null as integer[])
  from locked l;

-- :name try_machines
-- The same without waiting: those that somebody has locked, or waits to lock, are returned.
with tried as materialized (
  select m.machine_id, pg_try_advisory_xact_lock_shared(:space, m.machine_id) as locked
    from (select distinct a.machine_id
            from statekeep.actor a
           where a.key = any(cast(:keys as uuid[]))) as m
)
select set_config('statekeep.locked',
                  coalesce(string_agg(cast(t.machine_id as text), ',') filter (where t.locked), ''), true),
       array_agg(t.machine_id) filter (where not t.locked)
  from tried t;

-- :name machines
-- Of these actors, those that belong to these machines.
select u.ord - 1, a.machine_id
  from unnest(cast(:keys as uuid[])) with ordinality as u (key, ord)
  join statekeep.actor a on a.key = u.key
 where a.machine_id = any(cast(:machines as integer[]));

-- :name lock_actors
-- Those of the machines that are locked, one by one in the order of their keys, so that batches do not wait in a
-- circle. The context comes along only for those whose events patch it. The machine's epoch is read under the lock
-- that holds it still.
with locked as materialized (
  select i.ord, a.machine_id, a.cohort_id, a.seq, a.context
    from (select u.key, u.patched, u.ord
            from unnest(cast(:keys as uuid[]), cast(:patched as boolean[])) with ordinality
                 as u (key, patched, ord)
           order by u.key) as i
   cross join lateral (select a.machine_id, a.cohort_id, a.seq,
                              case when i.patched then a.context end as context
                         from statekeep.actor a
                        where a.key = i.key
                          and a.machine_id = any(cast((select string_to_array(current_setting('statekeep.locked'), ',')) as integer[]))
                          for no key update of a) as a
)
select l.ord - 1, m.epoch, l.cohort_id, l.seq, l.context
  from locked l
  join statekeep.machine m on m.id = l.machine_id;

-- :name find_first
-- What earlier events with these idempotency keys did.
select i.ord - 1, coalesce(p.seq, g.seq), p.seq is not null, coalesce(p.body_digest, g.body_digest),
       coalesce(p.configuration_id, g.configuration_id), h.fingerprint
  from unnest(cast(:keys as uuid[]), cast(:idempotency as text[])) with ordinality
       as i (key, idempotency_key, ord)
  left join statekeep.event p on p.actor_key = i.key and p.idempotency_key = i.idempotency_key
  left join statekeep.ignored_event g
    on g.actor_key = i.key and g.idempotency_key = i.idempotency_key
  join statekeep.history h on h.id = coalesce(p.history_id, g.history_id);

-- :name append
-- The log and the actors move together or not at all. An event refers to what its actor's cohort is
-- now: where that is not what its sender will be told, or where the cohort is retired, there is no
-- history to refer to, and nothing is written. Of an actor's events the last one says where it is. The
-- change feed numbers them as they are inserted: each actor's in its order.
with input as (
  select *
    from unnest(cast(:keys as uuid[]), cast(:seqs as bigint[]), cast(:cohorts as bigint[]),
                cast(:histories as bigint[]), cast(:configurations as bigint[]),
                cast(:epochs as integer[]), cast(:data as bytea[]), cast(:idempotency as text[]),
                cast(:digests as bytea[]), cast(:last as boolean[]), cast(:contexts as bytea[]))
         with ordinality
         as i (key, seq, cohort_id, history_id, configuration_id, epoch, data, idempotency_key,
               body_digest, last, context, ord)
), moved as (
  update statekeep.actor a
     set cohort_id = i.cohort_id, seq = i.seq, updated_at = clock_timestamp(),
         context = coalesce(i.context, a.context)
    from input i
   where a.key = i.key and i.last
)
insert into statekeep.event (actor_key, seq, history_id, configuration_id, epoch, data,
                             idempotency_key, body_digest, at)
select i.key, i.seq, c.history_id, c.configuration_id, i.epoch, i.data, i.idempotency_key,
       i.body_digest, clock_timestamp()
  from input i
  left join statekeep.cohort c
    on c.id = i.cohort_id and c.history_id = i.history_id
   and c.configuration_id = i.configuration_id and c.canonical
 order by i.ord;

-- :name remember_ignored
insert into statekeep.ignored_event (actor_key, idempotency_key, body_digest, seq, history_id,
                                     configuration_id, at)
select i.key, i.idempotency_key, i.body_digest, i.seq, i.history_id, i.configuration_id,
       clock_timestamp()
  from unnest(cast(:keys as uuid[]), cast(:idempotency as text[]), cast(:digests as bytea[]),
              cast(:seqs as bigint[]), cast(:histories as bigint[]),
              cast(:configurations as bigint[]))
       as i (key, idempotency_key, body_digest, seq, history_id, configuration_id);
