-- One batch of events, at most one an actor. Each statement sees what the one before it locked:
-- under READ COMMITTED a statement's snapshot is older than a lock that it waits for itself.

-- :name lock_machines
-- Shared with other events, exclusive to a deployment. A machine of an actor never changes, so
-- reading it before the lock is safe. Ascending, so that batches do not wait in a circle.
select m.machine_id, pg_advisory_xact_lock_shared(:space, m.machine_id)
  from (select distinct a.machine_id
          from statekeep.actor a
         where a.key = any(cast(:keys as uuid[]))
         order by a.machine_id) as m;

-- :name lock_actors
-- Only actors of locked machines: one that was spawned since is not there yet for this batch. The
-- context comes along only for those whose events patch it.
select a.key, a.machine_id, a.cohort_id, a.seq,
       case when a.key = any(cast(:patched as uuid[])) then a.context end as context
  from statekeep.actor a
 where a.key = any(cast(:keys as uuid[])) and a.machine_id = any(cast(:machines as integer[]))
 order by a.key
   for no key update;

-- :name look_up
-- For each event: where its actor stands, where the edge leads (none: not filled in yet), and
-- what an earlier event with the same idempotency key did.
select i.ord, m.epoch,
       c.history_id, c.configuration_id, h.fingerprint,
       e.cohort_id is not null as known, e.target_id,
       t.history_id as to_history_id, t.configuration_id as to_configuration_id,
       th.fingerprint as to_fingerprint,
       coalesce(p.seq, g.seq) as first_seq, p.seq is not null as first_handled,
       coalesce(p.body_digest, g.body_digest) as first_digest,
       coalesce(p.configuration_id, g.configuration_id) as first_configuration_id,
       f.fingerprint as first_fingerprint
  from unnest(cast(:ords as integer[]), cast(:keys as uuid[]), cast(:machines as integer[]),
              cast(:cohorts as bigint[]), cast(:types as text[]), cast(:idempotency as text[]))
       as i (ord, key, machine_id, cohort_id, event_type, idempotency_key)
  join statekeep.machine m on m.id = i.machine_id
  join statekeep.cohort c on c.id = i.cohort_id
  join statekeep.history h on h.id = c.history_id
  left join statekeep.edge e on e.cohort_id = i.cohort_id and e.event_type = i.event_type
  left join statekeep.cohort t on t.id = e.target_id
  left join statekeep.history th on th.id = t.history_id
  left join statekeep.event p on p.actor_key = i.key and p.idempotency_key = i.idempotency_key
  left join statekeep.ignored_event g
    on g.actor_key = i.key and g.idempotency_key = i.idempotency_key
  left join statekeep.history f on f.id = coalesce(p.history_id, g.history_id);

-- :name append
-- The log and the actor move together or not at all.
with input as (
  select *
    from unnest(cast(:keys as uuid[]), cast(:seqs as bigint[]), cast(:cohorts as bigint[]),
                cast(:histories as bigint[]), cast(:configurations as bigint[]),
                cast(:epochs as integer[]), cast(:data as bytea[]), cast(:idempotency as text[]),
                cast(:digests as bytea[]), cast(:contexts as bytea[]))
         as i (key, seq, cohort_id, history_id, configuration_id, epoch, data, idempotency_key,
               body_digest, context)
), moved as (
  update statekeep.actor a
     set cohort_id = i.cohort_id, seq = i.seq, updated_at = clock_timestamp(),
         context = coalesce(i.context, a.context)
    from input i
   where a.key = i.key
)
insert into statekeep.event (actor_key, seq, history_id, configuration_id, epoch, data,
                             idempotency_key, body_digest, at)
select i.key, i.seq, i.history_id, i.configuration_id, i.epoch, i.data, i.idempotency_key,
       i.body_digest, clock_timestamp()
  from input i;

-- :name remember_ignored
insert into statekeep.ignored_event (actor_key, idempotency_key, body_digest, seq, history_id,
                                     configuration_id, at)
select i.key, i.idempotency_key, i.body_digest, i.seq, i.history_id, i.configuration_id,
       clock_timestamp()
  from unnest(cast(:keys as uuid[]), cast(:idempotency as text[]), cast(:digests as bytea[]),
              cast(:seqs as bigint[]), cast(:histories as bigint[]),
              cast(:configurations as bigint[]))
       as i (key, idempotency_key, body_digest, seq, history_id, configuration_id);
