-- What keeps an applied version, and its removal.

-- :name candidates
-- No namespaces: all of them. Each look is for one row only, by an index.
select v.id, v.namespace, v.name, v.machine_id, m.name as machine,
       exists (select from statekeep.version child where child.parent_id = v.id) as has_children,
       exists (select from statekeep.actor a
                 join statekeep.cohort c on c.id = a.cohort_id
                where a.machine_id = v.machine_id and c.version_id = v.id) as has_actors,
       exists (select from statekeep.deployment d
                where d.version_id = v.id
                  and (d.migrated is null
                       or exists (select from statekeep.tally t where t.deployment_id = d.id)))
         as has_decisions
  from statekeep.version v
  join statekeep.machine m on m.id = v.machine_id
 where v.applied_at is not null
   and (cast(:namespaces as text[]) is null or v.namespace = any(cast(:namespaces as text[])))
 order by v.namespace, v.name;

-- :name name_pruned
-- The guards of what is append-only let this one version through, until the transaction ends. A
-- deployment that met nobody may have decisions: of cohorts that nobody was in.
select set_config('statekeep.pruned_version', cast(:version_id as text), true),
       set_config('statekeep.pruned_deployment', cast(d.id as text), true)
  from (select cast(:version_id as integer) as version_id) as v
  left join statekeep.deployment d on d.version_id = v.version_id;

-- :name retire_cohorts
-- The guards let no others go.
update statekeep.cohort c set canonical = false where c.version_id = :version_id;

-- :name drop_cohorts
delete from statekeep.cohort c where c.version_id = :version_id;

-- :name drop_decisions
delete from statekeep.decision n
 using statekeep.deployment d
 where d.version_id = :version_id and n.deployment_id = d.id;

-- :name drop_configurations
delete from statekeep.configuration k where k.version_id = :version_id;

-- :name drop_deployment
delete from statekeep.deployment d where d.version_id = :version_id;

-- :name drop_version
delete from statekeep.version v where v.id = :version_id;

-- :name drop_machine
-- A family without versions is none.
delete from statekeep.machine m
 where m.id = :machine_id
   and not exists (select from statekeep.version v where v.machine_id = m.id);
