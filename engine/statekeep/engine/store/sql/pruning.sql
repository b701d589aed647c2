-- What keeps an applied version, and its removal.

-- :name candidates
-- No namespaces: all of them. Each look is for one row only, by an index.
select v.id, v.namespace, v.name, v.machine_id, m.name as machine,
       exists (select from statekeep.version child where child.parent_id = v.id) as has_children,
       exists (select from statekeep.actor a
                 join statekeep.cohort c on c.id = a.cohort_id
                where a.machine_id = v.machine_id and c.version_id = v.id) as has_actors,
       exists (select from statekeep.deployment d
                 join statekeep.decision n on n.deployment_id = d.id
                where d.version_id = v.id) as has_decisions
  from statekeep.version v
  join statekeep.machine m on m.id = v.machine_id
 where v.applied_at is not null
   and (cast(:namespaces as text[]) is null or v.namespace = any(cast(:namespaces as text[])))
 order by v.namespace, v.name;

-- :name name_pruned
-- The guards of what is append-only let this one version through, until the transaction ends.
select set_config('statekeep.pruned_version', cast(:version_id as text), true);

-- :name retire_cohorts
-- The guards let no others go.
update statekeep.cohort c set canonical = false where c.version_id = :version_id;

-- :name drop_cohorts
delete from statekeep.cohort c where c.version_id = :version_id;

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
