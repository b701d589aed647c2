-- What is stored of a version that its definition has once been asked for, to be asked for again.

-- :name other_versions
-- Applied versions whose stored steps were taken under another meaning of definitions than ours.
select v.id from statekeep.version v
 where v.applied_at is not null and v.semantics <> :semantics
 order by v.id;

-- :name documents
select k.id, k.document, k.label from statekeep.configuration k where k.version_id = :version_id order by k.id;

-- :name steps
-- Every step that is stored of a version, once, however many cohorts take it; without a target it was not handled.
select distinct c.configuration_id, e.event_type, t.configuration_id as to_configuration_id
  from statekeep.cohort c
  join statekeep.edge e on e.cohort_id = c.id
  left join statekeep.cohort t on t.id = e.target_id
 where c.version_id = :version_id
 order by c.configuration_id, e.event_type;

-- :name kept_under
select v.semantics from statekeep.version v where v.id = :version_id;

-- :name keep_under
update statekeep.version set semantics = :semantics where id = :version_id;
