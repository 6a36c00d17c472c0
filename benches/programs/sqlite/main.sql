-- Journals, indexes, imports, exports and a vacuum: what a database does to files.
pragma page_size = 1024;
pragma journal_mode = delete;
create table item (id integer primary key, name text, price real);
begin;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
insert into item select i, 'item ' || (i * 7919 % 20011), (i * 31 % 997) / 10.0 from n;
commit;
create index item_name on item (name);
.mode csv
.import /w/rivers.csv river
select country, name, km from river order by cast(km as integer) desc;
delete from item where id % 3 = 0;
begin;
update item set price = price * 2 where price < 5;
rollback;
pragma journal_mode = truncate;
update item set name = upper(name) where id % 5 = 0;
vacuum;
pragma integrity_check;
select count(*), sum(price), min(name), max(name) from item;
.output /w/out.csv
select * from item where name like 'ITEM 1%' order by name;
.output stdout
