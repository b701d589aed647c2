-- Who decided what of whom: the log, read backwards.

-- :name decisions_of_deployment
-- A page of them, each with its actors: none where nobody was in that cohort any more. A page is cut
-- before anybody asks for these, so that it reads no more than it is long.
select d.history_id, d.configuration_id, d.landing_id, d.reason, d.detail, d.skipped, t.actors,
       h.depth, h.fingerprint, t.actors is not null or p.migrated is null as concerns
  from (select d.deployment_id, d.history_id, d.configuration_id, d.landing_id, d.reason, d.detail,
               d.skipped
          from statekeep.decision d
         where d.deployment_id = :deployment_id
           and (d.history_id, d.configuration_id) > (:after_history, :after_configuration)
         order by d.history_id, d.configuration_id
         limit :limit) as d
  join statekeep.deployment p on p.id = d.deployment_id
 cross join lateral (
       select h.depth, h.fingerprint from statekeep.history h where h.id = d.history_id
       offset 0) as h
  left join lateral (
       select t.actors
         from statekeep.tally t
        where t.deployment_id = d.deployment_id
          and t.history_id = d.history_id and t.configuration_id = d.configuration_id
       offset 0) as t on true
 order by d.history_id, d.configuration_id;

-- :name decisions_on
-- Every decision of these deployments on these histories.
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

-- :name actors_of_deployment
-- Actors of the deployment's machine, a page at a time, each with its last event before the deployment,
-- or its spawn. Who came later counts too, as somebody who was looked at: a page reads no more than it
-- is long. Subqueries, not a join: the index gives the order only if Postgres knows that there is one
-- machine.
select a.id, coalesce(e.epoch, a.spawn_epoch) as epoch, coalesce(e.history_id, r.id) as history_id,
       coalesce(e.configuration_id, a.spawn_configuration_id) as configuration_id
  from (select a.key, a.id, a.spawn_epoch, a.spawn_configuration_id
          from statekeep.actor a
         where a.machine_id = (select p.machine_id from statekeep.deployment p
                                where p.id = :deployment_id)
           and a.id > :after
         order by a.id
         limit :limit) as a
  join statekeep.history r on r.parent_id is null
  left join lateral (
        select e.epoch, e.history_id, e.configuration_id
          from statekeep.event e
         where e.actor_key = a.key
           and a.spawn_epoch < (select p.epoch from statekeep.deployment p where p.id = :deployment_id)
           and e.epoch < (select p.epoch from statekeep.deployment p where p.id = :deployment_id)
         order by e.seq desc
         limit 1) as e on true
 order by a.id;
