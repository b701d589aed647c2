-- What routing is asked about, and what a deployment writes.

-- :name population
-- One row for every distinct (history, configuration) on a version that has actors. Actors are
-- counted before anything is joined: one pass over the machine's actors.
with counted as (
  select a.cohort_id, count(*) as actors
    from statekeep.actor a
   where a.machine_id = :machine_id
   group by a.cohort_id
)
select c.history_id, c.configuration_id, k.value, k.done, cast(sum(n.actors) as bigint) as actors
  from counted n
  join statekeep.cohort c on c.id = n.cohort_id
  join statekeep.configuration k on k.id = c.configuration_id
 where c.version_id = :version_id
 group by c.history_id, c.configuration_id, k.value, k.done
 order by c.history_id, c.configuration_id;

-- :name ancestry
-- The histories and all their ancestors; every prefix once.
with recursive tree as (
  select h.id, h.parent_id, h.event_type, h.depth
    from statekeep.history h
   where h.id = any(cast(:histories as bigint[]))
  union
  select h.id, h.parent_id, h.event_type, h.depth
    from statekeep.history h
    join tree t on h.id = t.parent_id
)
select id, parent_id, event_type, depth from tree;

-- :name insert_decisions
insert into statekeep.decision (deployment_id, history_id, configuration_id, landing_id, reason,
                                detail, skipped, actors)
select :deployment_id, i.history_id, i.configuration_id, i.landing_id, i.reason, i.detail,
       i.skipped, i.actors
  from unnest(cast(:histories as bigint[]), cast(:configurations as bigint[]),
              cast(:landings as bigint[]), cast(:reasons as text[]), cast(:details as text[]),
              cast(:skipped as jsonb[]), cast(:actors as bigint[]))
       as i (history_id, configuration_id, landing_id, reason, detail, skipped, actors);

-- :name drop_edges
-- An edge out of a cohort that moves, or into one, would skip the new version.
delete from statekeep.edge e
 using statekeep.cohort c, statekeep.decision d
 where d.deployment_id = :deployment_id and d.landing_id is not null
   and c.version_id = :parent_id
   and c.history_id = d.history_id and c.configuration_id = d.configuration_id
   and (e.cohort_id = c.id or e.target_id = c.id);

-- :name move_cohorts
-- Cohorts move, actors do not: one row an update, whatever the number of actors. The new version
-- has no cohorts yet, so one of those that arrive with the same history becomes the canonical one.
with moving as (
  select c.id, d.landing_id,
         row_number() over (partition by c.history_id order by c.canonical desc, c.id) = 1
           as canonical
    from statekeep.cohort c
    join statekeep.decision d
      on d.deployment_id = :deployment_id and d.landing_id is not null
     and c.history_id = d.history_id and c.configuration_id = d.configuration_id
   where c.version_id = :parent_id
)
update statekeep.cohort c
   set version_id = :version_id, configuration_id = m.landing_id, canonical = m.canonical
  from moving m
 where c.id = m.id;

-- :name decisions_of_deployment
select d.history_id, d.configuration_id, d.landing_id, d.reason, d.detail, d.skipped, d.actors,
       h.depth, h.fingerprint
  from statekeep.decision d
  join statekeep.history h on h.id = d.history_id
 where d.deployment_id = :deployment_id
   and (d.history_id, d.configuration_id) > (:after_history, :after_configuration)
 order by d.history_id, d.configuration_id
 limit :limit;

-- :name decisions_of_actor
-- Every decision of the deployments of the actor's machine on any history it has had.
select d.deployment_id, d.history_id, d.configuration_id, d.landing_id, d.reason, d.detail,
       d.skipped, h.fingerprint, h.depth
  from statekeep.decision d
  join statekeep.history h on h.id = d.history_id
 where d.deployment_id = any(cast(:deployments as integer[]))
   and d.history_id = any(cast(:histories as bigint[]));

-- :name landmarks
-- Where the actor stood when each epoch ended: its spawn, and its last event of every epoch.
select a.spawn_epoch as epoch, r.id as history_id, a.spawn_configuration_id as configuration_id, 0 as seq
  from statekeep.actor a, statekeep.history r
 where a.key = cast(:key as uuid) and r.parent_id is null
union all
select last.epoch, last.history_id, last.configuration_id, last.seq
  from (select distinct on (e.epoch) e.epoch, e.history_id, e.configuration_id, e.seq
          from statekeep.event e
         where e.actor_key = cast(:key as uuid)
         order by e.epoch, e.seq desc) as last
order by seq;

-- :name select_cohorts
select a.id, c.history_id, c.configuration_id
  from statekeep.actor a
  join statekeep.cohort c on c.id = a.cohort_id and c.version_id = :version_id
  join unnest(cast(:histories as bigint[]), cast(:configurations as bigint[]))
       as i (history_id, configuration_id)
    on c.history_id = i.history_id and c.configuration_id = i.configuration_id
 where a.machine_id = :machine_id and a.id > :after
 order by a.id
 limit :limit;

-- :name actors_of_machine
-- Actors that were there when the deployment looked, a page at a time, and where each stood after
-- its last event, or its spawn, before that. Subqueries, not a join: the index gives the order only
-- if Postgres knows that there is one machine.
select a.id, coalesce(l.epoch, a.spawn_epoch) as epoch, coalesce(l.history_id, r.id) as history_id,
       coalesce(l.configuration_id, a.spawn_configuration_id) as configuration_id
  from statekeep.actor a
 cross join (select h.id from statekeep.history h where h.parent_id is null) as r
  left join lateral (
    select e.epoch, e.history_id, e.configuration_id
      from statekeep.event e
     where e.actor_key = a.key
       and e.epoch < (select d.epoch from statekeep.deployment d where d.id = :deployment_id)
     order by e.seq desc
     limit 1) as l on true
 where a.machine_id = (select d.machine_id from statekeep.deployment d where d.id = :deployment_id)
   and a.spawn_epoch < (select d.epoch from statekeep.deployment d where d.id = :deployment_id)
   and a.id > :after
 order by a.id
 limit :limit;
