-- The team's id becomes a UUIDv7, as all other ids are: 48 bits of milliseconds, the version, 12 random bits, the
-- variant, 62 random bits (RFC 9562, section 5.7).

PRAGMA defer_foreign_keys = ON;

CREATE TEMP TABLE new_team_id AS SELECT unhex(
    format('%012x', CAST(unixepoch('subsec') * 1000 AS INTEGER))
    || '7' || substr(hex(randomblob(2)), 1, 3)
    || substr('89AB', 1 + abs(random() % 4), 1) || substr(hex(randomblob(8)), 1, 15)
) AS id;

UPDATE teams SET id = (SELECT id FROM new_team_id);
UPDATE apps SET team_id = (SELECT id FROM new_team_id);

DROP TABLE new_team_id;
