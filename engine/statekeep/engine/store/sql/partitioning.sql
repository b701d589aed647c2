-- What hangs on a table and has to be made again when the table is: by name, as Postgres would write it.

-- :name is_partitioned
select c.relkind = 'p' from pg_class c where c.oid = cast('statekeep.actor' as regclass);

-- :name options
-- How a table is stored, where not as any other.
select coalesce(' with (' || array_to_string(c.reloptions, ', ') || ')', '')
  from pg_class c where c.oid = cast(:target as regclass);

-- :name foreign_keys
-- From and to these tables.
select cast(cast(conrelid as regclass) as text) as target, conname as name, pg_get_constraintdef(oid) as definition
  from pg_constraint
 where contype = 'f' and conparentid = 0
   and (conrelid = any(cast(:tables as regclass[])) or confrelid = any(cast(:tables as regclass[])))
 order by target, name;

-- :name keys
-- Primary and unique keys; checks are copied with the columns.
select conname as name, pg_get_constraintdef(oid) as definition
  from pg_constraint
 where contype in ('p', 'u') and conrelid = cast(:target as regclass)
 order by name;

-- :name indexes
-- Those that no key has made.
select pg_get_indexdef(i.indexrelid) as definition
  from pg_index i
 where i.indrelid = cast(:target as regclass)
   and not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u'))
 order by definition;

-- :name triggers
select pg_get_triggerdef(oid) as definition
  from pg_trigger
 where tgrelid = cast(:target as regclass) and not tgisinternal
 order by definition;

-- :name owner
select quote_ident(pg_get_userbyid(c.relowner)) from pg_class c where c.oid = cast(:target as regclass);

-- :name grants
-- What was allowed to whom, and what the table says of itself.
with allowed as (
  select a.grantee, a.privilege_type, a.is_grantable, '' as columns
    from pg_class c, aclexplode(c.relacl) a
   where c.oid = cast(:target as regclass)
   union all
  select a.grantee, a.privilege_type, a.is_grantable, ' (' || quote_ident(k.attname) || ')'
    from pg_attribute k, aclexplode(k.attacl) a
   where k.attrelid = cast(:target as regclass) and not k.attisdropped
)
select 'grant ' || g.privilege_type || g.columns || ' on ' || cast(:target as text) || ' to '
       || case g.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(g.grantee)) end
       || case when g.is_grantable then ' with grant option' else '' end as definition
  from allowed g
 union all
select 'comment on table ' || cast(:target as text) || ' is ' || quote_literal(obj_description(c.oid, 'pg_class'))
  from pg_class c
 where c.oid = cast(:target as regclass) and obj_description(c.oid, 'pg_class') is not null;
