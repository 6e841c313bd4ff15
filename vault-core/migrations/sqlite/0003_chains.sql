-- A database can hold entries of several chains. `place` is where an entry stands among all; `chain` is the name of its
-- chain, NULL for the file's own; `seq` is its place in that chain, NULL where that is the same number.

ALTER TABLE audit RENAME COLUMN seq TO place;
ALTER TABLE audit ADD COLUMN chain TEXT;
ALTER TABLE audit ADD COLUMN seq INTEGER;
