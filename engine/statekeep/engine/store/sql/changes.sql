-- The change feed. Every change has a position, drawn from one sequence by a transaction that holds
-- its machine's lock (and, for an event, its actor's), and keeps it until the change can be seen.
-- A deployment that met no actor changed nothing: it is no change, and its version may be removed.

-- :name writers
-- Who holds a machine's lock now: only they can have positions whose changes cannot be seen yet.
-- To be asked after the newest change, by a statement of its own.
select l.virtualtransaction
  from pg_locks l
 where l.locktype = 'advisory' and l.granted and l.objsubid = 2
   and l.classid = cast(:space as oid)
   and l.database = (select d.oid from pg_database d where d.datname = current_database());

-- :name uncounted
-- The first change whose deployment has happened and is still being counted.
select min(d.position) from statekeep.deployment d where d.migrated is null;

-- :name last_change
-- The last change up to a position, of whatever namespace.
with spawned as (
  select s.position, s.actor_key
    from statekeep.spawn s
   where s.position <= :upto
   order by s.position desc
   limit 1
)
select position, at
  from (
    (select e.position, e.at from statekeep.event e
      where e.position <= :upto order by e.position desc limit 1)
    union all
    (select d.position, d.at from statekeep.deployment d
      where d.position <= :upto and d.migrated + d.stayed + d.needs_rescue > 0
      order by d.position desc limit 1)
    union all
    select s.position, a.created_at from spawned s join statekeep.actor a on a.key = s.actor_key
  ) as last
 order by position desc
 limit 1;

-- :name actor_changes
-- Spawns (no event type) and events within a stretch of positions. The laterals with their limits
-- keep Postgres from reading all actors or all histories for the few that are needed.
select c.position, c.at, a.namespace, a.id, c.seq, h.event_type, h.fingerprint, c.configuration_id
  from (
    select e.position, e.at, e.actor_key, e.seq, e.history_id, e.configuration_id
      from statekeep.event e
     where e.position > :after and e.position <= :upto
    union all
    select s.position, a.created_at, s.actor_key, 0, r.id, a.spawn_configuration_id
      from statekeep.spawn s
     cross join lateral (
       select a.created_at, a.spawn_configuration_id
         from statekeep.actor a where a.key = s.actor_key limit 1) as a
     cross join (select h.id from statekeep.history h where h.parent_id is null) as r
     where s.position > :after and s.position <= :upto
  ) as c
 cross join lateral (
   select a.namespace, a.id from statekeep.actor a where a.key = c.actor_key limit 1) as a
 cross join lateral (
   select h.event_type, h.fingerprint from statekeep.history h where h.id = c.history_id limit 1) as h
 where a.namespace = any(cast(:namespaces as text[]));

-- :name deployment_changes
select d.position, d.at, d.id, d.number, m.namespace, m.name as machine, v.name as version, p.name as parent,
       d.migrated, d.stayed, d.needs_rescue
  from statekeep.deployment d
  join statekeep.machine m on m.id = d.machine_id
  join statekeep.version v on v.id = d.version_id
  join statekeep.version p on p.id = v.parent_id
 where d.position > :after and d.position <= :upto
   and d.migrated + d.stayed + d.needs_rescue > 0
   and m.namespace = any(cast(:namespaces as text[]));
