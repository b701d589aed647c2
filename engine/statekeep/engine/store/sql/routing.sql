-- What routing is asked about, and what a deployment writes.
--
-- Postgres cannot know how many rows a deployment that is under way has, and one wrong guess is a million
-- passes over a million rows. Hence ``offset 0``: what stands inside is looked up by its key, row by row.
-- Cohorts of a version are the canonical ones and the others, as each half has an index.

-- :name population
-- One row for every distinct (history, configuration) on a version that has actors. Actors are
-- counted before anything is joined: one pass over the machine's actors.
with counted as (
  select a.cohort_id, count(*) as actors
    from statekeep.actor a
   where a.machine_id = :machine_id
   group by a.cohort_id
)
select c.history_id, c.configuration_id, cast(sum(n.actors) as bigint) as actors
  from counted n
 cross join lateral (
       select c.history_id, c.configuration_id
         from statekeep.cohort c where c.id = n.cohort_id and c.version_id = :version_id
       offset 0) as c
 group by c.history_id, c.configuration_id;

-- :name cohorts
-- Likewise, whether anybody is there or not: no actor is looked at.
select c.history_id, c.configuration_id, cast(0 as bigint) as actors
  from statekeep.cohort c where c.version_id = :version_id and c.canonical
 union
select c.history_id, c.configuration_id, 0
  from statekeep.cohort c where c.version_id = :version_id and not c.canonical;

-- :name configurations
select k.id, k.value, k.done from statekeep.configuration k where k.version_id = :version_id;

-- :name configurations_by_id
select k.id, k.value, k.done from statekeep.configuration k where k.id = any(cast(:ids as bigint[]));

-- :name ancestry
-- The histories of a version's cohorts and all their beginnings, each once, parents first.
with recursive tree as (
  select h.id, h.parent_id, h.event_type, h.depth
    from statekeep.history h
   where h.id in (select c.history_id from statekeep.cohort c
                   where c.version_id = :version_id and c.canonical
                   union
                  select c.history_id from statekeep.cohort c
                   where c.version_id = :version_id and not c.canonical)
  union
  select h.id, h.parent_id, h.event_type, h.depth
    from statekeep.history h
    join tree t on h.id = t.parent_id
)
select id, parent_id, event_type, depth from tree order by depth;

-- :name ancestry_of
-- These histories and all their beginnings, each once, parents first.
with recursive tree as (
  select h.id, h.parent_id, h.event_type, h.depth
    from statekeep.history h
   where h.id = any(cast(:histories as bigint[]))
  union
  select h.id, h.parent_id, h.event_type, h.depth
    from tree t
   cross join lateral (
         select h.id, h.parent_id, h.event_type, h.depth
           from statekeep.history h where h.id = t.parent_id
         offset 0) as h
)
select id, parent_id, event_type, depth from tree order by depth;

-- :name histories
select h.id, h.parent_id, h.event_type, h.depth
  from statekeep.history h
 where h.id = any(cast(:histories as bigint[]));

-- :name places
-- The cohorts of a version with these histories and configurations.
select c.id, c.history_id, c.configuration_id, c.canonical
  from unnest(cast(:histories as bigint[]), cast(:configurations as bigint[]))
       as i (history_id, configuration_id)
 cross join lateral (
       select k.*
         from statekeep.cohort k
        where k.version_id = :version_id and k.canonical
          and k.history_id = i.history_id and k.configuration_id = i.configuration_id
        union all
       select k.*
         from statekeep.cohort k
        where k.version_id = :version_id and not k.canonical
          and k.history_id = i.history_id and k.configuration_id = i.configuration_id
       offset 0) as c;

-- :name inhabited
-- Those of them that have actors now: one pass over the machine's actors.
select i.id from unnest(cast(:cohorts as bigint[])) as i (id)
intersect
select a.cohort_id from statekeep.actor a where a.machine_id = :machine_id;

-- :name newest_cohort
select coalesce(max(c.id), 0) from statekeep.cohort c;

-- :name undecided
-- Cohorts with higher ids of which the deployment has written nothing.
select distinct c.history_id, c.configuration_id, cast(0 as bigint) as actors
  from (select k.history_id, k.configuration_id
          from statekeep.cohort k where k.id > :after and k.version_id = :version_id
        offset 0) as c
 where not exists (select from statekeep.decision d
                    where d.deployment_id = :deployment_id
                      and d.history_id = c.history_id and d.configuration_id = c.configuration_id
                   offset 0);

-- :name insert_decisions
-- Of a deployment that is there, and to configurations of its version: else there is nothing to refer to.
insert into statekeep.decision (deployment_id, history_id, configuration_id, landing_id, reason,
                                detail, skipped)
select p.id, i.history_id, i.configuration_id, k.id, i.reason, i.detail, i.skipped
  from unnest(cast(:histories as bigint[]), cast(:configurations as bigint[]),
              cast(:landings as bigint[]), cast(:reasons as text[]), cast(:details as text[]),
              cast(:skipped as jsonb[]))
       as i (history_id, configuration_id, landing_id, reason, detail, skipped)
  left join statekeep.deployment p on p.id = :deployment_id
  left join lateral (select k.id
                       from statekeep.configuration k
                      where k.id = i.landing_id and k.version_id = p.version_id offset 0) as k on true;

-- :name look_up_by_key
-- For the rest of the transaction. A table that is small, as that of edges may be, is read as a whole for each of a
-- million rows otherwise, since Postgres cannot know that there are so many.
select set_config('enable_seqscan', 'off', true);

-- :name move_cohorts
-- Cohorts move, actors do not: one row an update, whatever the number of actors. The new version
-- has no cohorts yet, so one of those that arrive with the same history becomes the canonical one.
-- An edge out of a cohort that moves, or into one, would skip the new version, so it goes. All in
-- one statement: events of the machine wait for it.
with moving as materialized (
  select c.id, d.landing_id,
         row_number() over (partition by c.history_id order by c.canonical desc, c.id) = 1
           as canonical
    from (select k.id, k.history_id, k.configuration_id, k.canonical
            from statekeep.cohort k where k.version_id = :parent_id and k.canonical
           union all
          select k.id, k.history_id, k.configuration_id, k.canonical
            from statekeep.cohort k where k.version_id = :parent_id and not k.canonical) as c
   cross join lateral (
         select d.landing_id
           from statekeep.decision d
          where d.deployment_id = :deployment_id and d.landing_id is not null
            and d.history_id = c.history_id and d.configuration_id = c.configuration_id
         offset 0) as d
), edges as (
  delete from statekeep.edge
   where ctid = any(array(
         select e.at
           from moving m
          cross join lateral (
                select o.ctid as at from statekeep.edge o where o.cohort_id = m.id
                 union all
                select i.ctid from statekeep.edge i where i.target_id = m.id
                offset 0) as e))
)
update statekeep.cohort c
   set version_id = :version_id, configuration_id = m.landing_id, canonical = m.canonical
  from moving m
 where c.id = m.id;

-- :name passengers
-- Actors of a machine in the order of their ids, each with where it is on one version: nowhere, if it is
-- on another. They are cut off before anybody asks, so that nothing is read but what is looked at.
select a.id, c.history_id, c.configuration_id, h.depth
  from (select a.id, a.cohort_id
          from statekeep.actor a
         where a.machine_id = :machine_id and a.id > :after
         order by a.id
         limit :limit) as a
  left join lateral (
       select c.history_id, c.configuration_id
         from statekeep.cohort c where c.id = a.cohort_id and c.version_id = :version_id
       offset 0) as c on true
  left join lateral (
       select h.depth from statekeep.history h where h.id = c.history_id
       offset 0) as h on true
 order by a.id;
