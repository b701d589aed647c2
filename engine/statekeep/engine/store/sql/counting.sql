-- How many actors each decision of a deployment concerned.

-- :name newest_change
-- A position that has been drawn: whatever is drawn from now on lies behind it.
select greatest((select max(e.position) from statekeep.event e), (select max(s.position) from statekeep.spawn s), 0);

-- :name leave_room
-- For this transaction: a million groups fit in this much memory; and who counts leaves room on the processors for events.
select set_config('work_mem', '64MB', true),
       set_config('max_parallel_workers_per_gather',
                  cast(least(cast(current_setting('max_parallel_workers_per_gather') as integer), 1) as text), true);

-- :name count_actors
-- Where the actors of a version stand: counted before anything is joined. Into a table, since that may use several
-- processes; an insert may not.
create temporary table counted on commit drop as
select c.history_id, c.configuration_id, n.actors
  from (select a.cohort_id, count(*) as actors
          from statekeep.actor a
         where a.machine_id = :machine_id
         group by a.cohort_id) as n
 cross join lateral (
       select c.history_id, c.configuration_id
         from statekeep.cohort c where c.id = n.cohort_id and c.version_id = :version_id
       offset 0) as c;

-- :name changed
-- Actors of a version that came to be or had an event within a stretch of positions, each with where the last change led.
select distinct on (c.actor_key) c.actor_key, c.history_id, c.configuration_id
  from (select e.actor_key, e.seq, e.history_id, e.configuration_id
          from statekeep.event e
         where e.position > :after and e.position < :before
         union all
        select s.actor_key, 0, r.id, a.spawn_configuration_id
          from statekeep.spawn s
         cross join lateral (
               select a.spawn_configuration_id
                 from statekeep.actor a where a.key = s.actor_key
               offset 0) as a
         cross join (select h.id from statekeep.history h where h.parent_id is null) as r
         where s.position > :after and s.position < :before) as c
 cross join lateral (
       select from statekeep.configuration k where k.id = c.configuration_id and k.version_id = :version_id
       offset 0) as k
 order by c.actor_key, c.seq desc;

-- :name correct
-- On the snapshot: these actors are no longer where it sees them, but there.
insert into counted (history_id, configuration_id, actors)
select i.history_id, i.configuration_id, 1
  from unnest(cast(:histories as bigint[]), cast(:configurations as bigint[])) as i (history_id, configuration_id)
 union all
select c.history_id, c.configuration_id, -1
  from unnest(cast(:keys as uuid[])) as i (key)
 cross join lateral (
       select a.cohort_id from statekeep.actor a where a.key = i.key
       offset 0) as a
 cross join lateral (
       select c.history_id, c.configuration_id
         from statekeep.cohort c where c.id = a.cohort_id and c.version_id = :version_id
       offset 0) as c;

-- :name tally
insert into statekeep.tally (deployment_id, history_id, configuration_id, actors)
select :deployment_id, n.history_id, n.configuration_id, sum(n.actors)
  from counted n
 group by n.history_id, n.configuration_id
having sum(n.actors) > 0
on conflict do nothing;

-- :name settle
-- The numbers of a deployment, from its tallies. Whoever comes second changes nothing.
update statekeep.deployment p
   set migrated = n.migrated, stayed = n.stayed, needs_rescue = n.needs_rescue
  from (select coalesce(sum(t.actors) filter (where d.landing_id is not null), 0) as migrated,
               coalesce(sum(t.actors) filter (where d.reason <> 'NeedsRescue'), 0) as stayed,
               coalesce(sum(t.actors) filter (where d.reason = 'NeedsRescue'), 0) as needs_rescue
          from statekeep.tally t
         cross join lateral (
               select d.landing_id, d.reason
                 from statekeep.decision d
                where d.deployment_id = t.deployment_id and d.history_id = t.history_id
                  and d.configuration_id = t.configuration_id
               offset 0) as d
         where t.deployment_id = :deployment_id) as n
 where p.id = :deployment_id and p.migrated is null;
