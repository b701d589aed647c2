-- The index of the present: cohorts that nobody is in any more, and all of them made anew from the log.

-- :name deserted
-- Cohorts of a machine without actors, canonical or retired: one pass over the machine's actors.
select c.id
  from statekeep.cohort c
  join statekeep.version v on v.id = c.version_id
 where v.machine_id = :machine_id and c.canonical = :canonical
except
select a.cohort_id from statekeep.actor a where a.machine_id = :machine_id
 order by id
 limit :limit;

-- :name retire_cohorts
-- From now on arrivals with that history found a cohort of their own.
update statekeep.cohort set canonical = false where id = any(cast(:cohorts as bigint[]));

-- :name close_edges
-- Nor does an edge lead there any more.
delete from statekeep.edge where target_id = any(cast(:cohorts as bigint[]));

-- :name delete_cohorts
-- Only retired ones; their edges go with them.
delete from statekeep.cohort where id = any(cast(:cohorts as bigint[])) and not canonical;

-- :name create_standing
create temporary table standing (
  key uuid, epoch integer, history_id bigint, configuration_id bigint
) on commit drop;

-- :name fill_standing
-- Where each actor stood after its last event before an epoch, or after its spawn.
insert into standing (key, epoch, history_id, configuration_id)
select a.key, coalesce(e.epoch, a.spawn_epoch), coalesce(e.history_id, r.id),
       coalesce(e.configuration_id, a.spawn_configuration_id)
  from statekeep.actor a
  join statekeep.history r on r.parent_id is null
  left join lateral (
        select e.epoch, e.history_id, e.configuration_id
          from statekeep.event e
         where e.actor_key = a.key and e.epoch < :epoch
         order by e.seq desc
         limit 1) as e on true
 where a.machine_id = :machine_id and a.spawn_epoch < :epoch;

-- :name analyze_standing
-- Nobody else does it for a temporary table.
analyze standing;

-- :name follow_deployment
-- Where a deployment put those who had no event since. In the order of epochs.
update standing
   set configuration_id = found.landing_id
  from (select s.ctid as at, d.landing_id
          from standing s
         cross join lateral (
               select d.landing_id
                 from statekeep.decision d
                where d.deployment_id = :deployment_id and d.landing_id is not null
                  and d.history_id = s.history_id and d.configuration_id = s.configuration_id
               offset 0) as d
         where s.epoch < :epoch) as found
 where standing.ctid = found.at;

-- :name tally_standing
insert into statekeep.tally (deployment_id, history_id, configuration_id, actors)
select :deployment_id, s.history_id, s.configuration_id, s.actors
  from (select history_id, configuration_id, count(*) as actors
          from standing
         group by history_id, configuration_id) as s
 where exists (select from statekeep.decision d
                where d.deployment_id = :deployment_id
                  and d.history_id = s.history_id and d.configuration_id = s.configuration_id
               offset 0)
on conflict do nothing;

-- :name misplaced
-- Actors whose cohort is not where the log has them.
select count(*)
  from standing s
  join statekeep.actor a on a.key = s.key
  left join statekeep.cohort c on c.id = a.cohort_id
 where a.machine_id = :machine_id
   and (c.history_id, c.configuration_id) is distinct from (s.history_id, s.configuration_id);

-- :name drop_edges_of_machine
delete from statekeep.edge e
 using statekeep.cohort c, statekeep.version v
 where v.machine_id = :machine_id and c.version_id = v.id and e.cohort_id = c.id;

-- :name retire_cohorts_of_machine
-- The guards let no others go.
update statekeep.cohort c set canonical = false
  from statekeep.version v
 where v.machine_id = :machine_id and c.version_id = v.id and c.canonical;

-- :name drop_cohorts_of_machine
delete from statekeep.cohort c
 using statekeep.version v
 where v.machine_id = :machine_id and c.version_id = v.id;

-- :name found_cohorts
insert into statekeep.cohort (version_id, history_id, configuration_id, canonical)
select distinct k.version_id, s.history_id, s.configuration_id, true
  from standing s
  join statekeep.configuration k on k.id = s.configuration_id;

-- :name seat_actors
update statekeep.actor a
   set cohort_id = c.id
  from standing s
  join statekeep.configuration k on k.id = s.configuration_id
  join statekeep.cohort c on c.version_id = k.version_id and c.history_id = s.history_id
 where a.key = s.key and c.canonical and a.cohort_id <> c.id;

-- :name neighbours
-- Cohorts of a machine one event apart: an edge may lead from the first to the second.
select c.id, c.version_id, k.document, n.event_type, t.id as target_id
  from statekeep.cohort c
  join statekeep.version v on v.id = c.version_id
  join statekeep.configuration k on k.id = c.configuration_id
  join statekeep.history n on n.parent_id = c.history_id
  join statekeep.cohort t on t.version_id = c.version_id and t.history_id = n.id and t.canonical
 where v.machine_id = :machine_id;
