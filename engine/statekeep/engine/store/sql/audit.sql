-- Who decided what of whom: the log, read backwards.

-- :name decisions_of_deployment
-- Those that concerned somebody; a cohort that nobody was in any more may have got one too.
select d.history_id, d.configuration_id, d.landing_id, d.reason, d.detail, d.skipped, t.actors,
       h.depth, h.fingerprint
  from statekeep.decision d
  join statekeep.deployment p on p.id = d.deployment_id
  join statekeep.history h on h.id = d.history_id
  left join statekeep.tally t
    on t.deployment_id = d.deployment_id
   and t.history_id = d.history_id and t.configuration_id = d.configuration_id
 where d.deployment_id = :deployment_id
   and (d.history_id, d.configuration_id) > (:after_history, :after_configuration)
   and (t.actors is not null or p.migrated is null)
 order by d.history_id, d.configuration_id
 limit :limit;

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
-- Actors that were there when the deployment looked, a page at a time, each with its last event
-- before it, or its spawn. Subqueries, not a join: the index gives the order only if Postgres knows
-- that there is one machine.
select a.id, coalesce(e.epoch, a.spawn_epoch) as epoch, coalesce(e.history_id, r.id) as history_id,
       coalesce(e.configuration_id, a.spawn_configuration_id) as configuration_id
  from (select a.key, a.id, a.spawn_epoch, a.spawn_configuration_id
          from statekeep.actor a
         where a.machine_id = (select p.machine_id from statekeep.deployment p
                                where p.id = :deployment_id)
           and a.spawn_epoch < (select p.epoch from statekeep.deployment p
                                 where p.id = :deployment_id)
           and a.id > :after
         order by a.id
         limit :limit) as a
  join statekeep.history r on r.parent_id is null
  left join lateral (
        select e.epoch, e.history_id, e.configuration_id
          from statekeep.event e
         where e.actor_key = a.key
           and e.epoch < (select p.epoch from statekeep.deployment p where p.id = :deployment_id)
         order by e.seq desc
         limit 1) as e on true
 order by a.id;
