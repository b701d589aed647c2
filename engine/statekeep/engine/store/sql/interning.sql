-- Rows that exist once whatever the number of writers: histories, configurations, cohorts, edges.
-- Every insert goes in one order, so that two writers wait for each other and never in a circle. That holds for one step
-- of each actor: whoever takes several would come back to histories after edges, and goes alone. What a row refers to
-- is read by the insert itself: where there is no such row, there is nothing to refer to, and nothing is written.

-- :name found_together
select pg_advisory_xact_lock_shared(:space, 0);

-- :name found_alone
select pg_advisory_xact_lock(:space, 0);

-- :name find_edges
-- Where events lead from cohorts, and what the interpreter needs where nobody knows yet. Row by row
-- (that is what "offset 0" says): a plan that was made while the tables were small must not read all
-- of them when they have grown.
select i.cohort_id, i.event_type, c.version_id, v.semantics, c.history_id, c.configuration_id, h.fingerprint,
       e.known is not null as known,
       case when e.known is null
            then (select k.document from statekeep.configuration k where k.id = c.configuration_id) end
         as document,
       e.target_id, t.history_id as to_history_id, t.configuration_id as to_configuration_id,
       th.fingerprint as to_fingerprint
  from unnest(cast(:cohorts as bigint[]), cast(:types as text[])) as i (cohort_id, event_type)
 cross join lateral (select c.version_id, c.history_id, c.configuration_id
                       from statekeep.cohort c where c.id = i.cohort_id offset 0) as c
 cross join lateral (select v.semantics
                       from statekeep.version v where v.id = c.version_id offset 0) as v
 cross join lateral (select h.fingerprint
                       from statekeep.history h where h.id = c.history_id offset 0) as h
  left join lateral (select true as known, e.target_id
                       from statekeep.edge e
                      where e.cohort_id = i.cohort_id and e.event_type = i.event_type offset 0) as e on true
  left join lateral (select t.history_id, t.configuration_id
                       from statekeep.cohort t where t.id = e.target_id offset 0) as t on true
  left join lateral (select th.fingerprint
                       from statekeep.history th where th.id = t.history_id offset 0) as th on true;

-- :name insert_histories
insert into statekeep.history (parent_id, event_type, depth, fingerprint)
select p.id, i.event_type, p.depth + 1, i.fingerprint
  from unnest(cast(:parents as bigint[]), cast(:types as text[]), cast(:fingerprints as bytea[]))
       as i (parent_id, event_type, fingerprint)
  left join lateral (select p.id, p.depth
                       from statekeep.history p where p.id = i.parent_id offset 0) as p on true
 order by i.parent_id, i.event_type
on conflict do nothing
returning id, fingerprint;

-- :name find_histories
select h.id, h.fingerprint
  from unnest(cast(:parents as bigint[]), cast(:types as text[])) as i (parent_id, event_type)
  join statekeep.history h on h.parent_id = i.parent_id and h.event_type = i.event_type;

-- :name insert_configurations
insert into statekeep.configuration (version_id, digest, document, value, label, done)
select i.version_id, i.digest, i.document, i.value, i.label, i.done
  from unnest(cast(:versions as integer[]), cast(:digests as bytea[]), cast(:documents as json[]),
              cast(:values as text[]), cast(:labels as text[]), cast(:done as boolean[]))
       as i (version_id, digest, document, value, label, done)
 order by i.version_id, i.digest
on conflict do nothing;

-- :name find_configurations
select c.id, c.version_id, c.digest
  from statekeep.configuration c
  join unnest(cast(:versions as integer[]), cast(:digests as bytea[])) as i (version_id, digest)
    on c.version_id = i.version_id and c.digest = i.digest;

-- :name insert_cohorts
-- New arrivals join the canonical cohort of their version and history; there is exactly one.
insert into statekeep.cohort (version_id, history_id, configuration_id, canonical)
select k.version_id, h.id, k.id, true
  from unnest(cast(:versions as integer[]), cast(:histories as bigint[]),
              cast(:configurations as bigint[])) as i (version_id, history_id, configuration_id)
  left join lateral (select h.id
                       from statekeep.history h where h.id = i.history_id offset 0) as h on true
  left join lateral (select k.version_id, k.id
                       from statekeep.configuration k
                      where k.id = i.configuration_id and k.version_id = i.version_id offset 0) as k on true
 order by i.version_id, i.history_id
on conflict do nothing
returning id, version_id, history_id;

-- :name find_cohorts
select c.id, c.version_id, c.history_id
  from statekeep.cohort c
  join unnest(cast(:versions as integer[]), cast(:histories as bigint[])) as i (version_id, history_id)
    on c.version_id = i.version_id and c.history_id = i.history_id
 where c.canonical;

-- :name insert_edges
-- None to a cohort that is retired: whoever deletes it would be waited for, by the reference.
insert into statekeep.edge (cohort_id, event_type, target_id)
select i.cohort_id, i.event_type, i.target_id
  from unnest(cast(:cohorts as bigint[]), cast(:types as text[]), cast(:targets as bigint[]))
       as i (cohort_id, event_type, target_id)
  left join lateral (select true as open
                       from statekeep.cohort t where t.id = i.target_id and t.canonical offset 0) as t on true
 where i.target_id is null or t.open
 order by i.cohort_id, i.event_type
on conflict do nothing;
