-- Sealing again what is not under the sealing key, and counting what is under which.
--
-- A sealed value begins with 01, the length of the key's id, and the id: the header. Comparing it reads the
-- first chunk of a long value, not all of it.

-- :name next_contexts
-- A step through the actors in the order of their keys: those whose context is to be sealed again, and the last one,
-- so that the next step can begin behind it. No row: there is nothing behind ``after``.
with step as (
  select a.key, octet_length(a.context) as bytes,
         a.context is not null and substring(a.context from 1 for :length) is distinct from :header
           as stale
    from statekeep.actor a
   where a.key > :after
   order by a.key
   limit :rows
)
select w.key, w.bytes, w.stale
  from (select s.*, lead(s.key) over (order by s.key) is null as last from step s) as w
 where w.stale or w.last
 order by w.key;

-- :name lock_contexts
-- In the order in which events lock actors. A patch that held a lock has been committed when this returns, and
-- its context is the one that is read here.
select a.key, a.namespace, a.id, a.context as sealed
  from statekeep.actor a
 where a.key = any(cast(:keys as uuid[]))
 order by a.key
   for no key update;

-- :name write_contexts
update statekeep.actor a
   set context = i.sealed
  from unnest(cast(:keys as uuid[]), cast(:sealed as bytea[])) as i (key, sealed)
 where a.key = i.key;

-- :name next_payloads
-- The same for events.
with step as (
  select e.actor_key, e.seq, octet_length(e.data) as bytes,
         e.data is not null and substring(e.data from 1 for :length) is distinct from :header
           as stale
    from statekeep.event e
   where (e.actor_key, e.seq) > (:after, :after_seq)
   order by e.actor_key, e.seq
   limit :rows
)
select w.actor_key as key, w.seq, w.bytes, w.stale
  from (select s.*, lead(s.seq) over (order by s.actor_key, s.seq) is null as last from step s) as w
 where w.stale or w.last
 order by w.actor_key, w.seq;

-- :name lock_payloads
-- Nobody else changes an event; two rotations at once take turns.
select e.actor_key as key, e.seq, a.namespace, a.id, e.data as sealed
  from statekeep.event e
  join unnest(cast(:keys as uuid[]), cast(:seqs as bigint[])) as i (key, seq)
    on e.actor_key = i.key and e.seq = i.seq
  join statekeep.actor a on a.key = e.actor_key
 order by e.actor_key, e.seq
   for no key update of e;

-- :name write_payloads
-- The guard of the log lets this through: nothing but data changes, and it does not come or go.
update statekeep.event e
   set data = i.sealed
  from unnest(cast(:keys as uuid[]), cast(:seqs as bigint[]), cast(:sealed as bytea[]))
       as i (key, seq, sealed)
 where e.actor_key = i.key and e.seq = i.seq;

-- :name count_contexts
-- By the id of the key, for the actors of one part of the keys' range.
select case when octet_length(h.header) >= 2
            then substring(h.header from 3 for get_byte(h.header, 1)) end as key_id,
       count(*) as number
  from (select substring(a.context from 1 for 257) as header
          from statekeep.actor a
         where a.key between :low and :high and a.context is not null) as h
 group by 1;

-- :name count_payloads
select case when octet_length(h.header) >= 2
            then substring(h.header from 3 for get_byte(h.header, 1)) end as key_id,
       count(*) as number
  from (select substring(e.data from 1 for 257) as header
          from statekeep.event e
         where e.actor_key between :low and :high and e.data is not null) as h
 group by 1;

-- :name estimate
-- As the planner knows it; below zero before the first ANALYZE.
select cast(sum(c.reltuples) as bigint)
  from pg_class c
 where c.oid in (cast('statekeep.actor' as regclass), cast('statekeep.event' as regclass));
