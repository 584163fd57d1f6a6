"""The tables of `chat/omni.db`. A released migration is never changed; a new step is added below."""

from omni.core.database import Migration

_FIRST = """
CREATE TABLE conversation (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    project TEXT,
    brain TEXT NOT NULL,
    system TEXT NOT NULL,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    head TEXT,
    at INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX conversation_updated ON conversation (updated);
CREATE INDEX conversation_project ON conversation (project, updated);

CREATE TABLE message (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    conversation TEXT NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    parent TEXT REFERENCES message (id) ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('user', 'assistant', 'summary')),
    text TEXT NOT NULL,
    reasoning TEXT NOT NULL DEFAULT '',
    brain TEXT NOT NULL DEFAULT '',
    time REAL NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('whole', 'writing', 'interrupted', 'cancelled', 'failed')),
    reason TEXT NOT NULL DEFAULT '',
    owner TEXT NOT NULL DEFAULT '',
    usage TEXT,
    seconds REAL NOT NULL DEFAULT 0,
    reasoning_seconds REAL NOT NULL DEFAULT 0,
    attachments TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE INDEX message_conversation ON message (conversation, number);
CREATE INDEX message_parent ON message (parent);
CREATE INDEX message_questions ON message (conversation) WHERE role = 'user';
CREATE INDEX message_writing ON message (conversation) WHERE state = 'writing';

-- What arrived of an answer that is being written: a growing row would be written anew ten times a second.
CREATE TABLE piece (
    number INTEGER PRIMARY KEY,
    message TEXT NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    text TEXT NOT NULL,
    reasoning TEXT NOT NULL
) STRICT;
CREATE INDEX piece_message ON piece (message, number);

-- Contents apart from messages, so that opening a conversation does not read them.
CREATE TABLE attachment (
    number INTEGER PRIMARY KEY,
    message TEXT NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX attachment_message ON attachment (message, number);

-- Prompts of a context of up to `allocated` tokens begin at `message`; `tokens` and `turns` before it are left out.
CREATE TABLE beginning (
    message TEXT PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
    allocated INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    turns INTEGER NOT NULL
) STRICT;

CREATE VIRTUAL TABLE found_text USING fts5 (
    text, content = 'message', content_rowid = 'number', tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
);
CREATE TRIGGER message_inserted AFTER INSERT ON message BEGIN
    INSERT INTO found_text (rowid, text) VALUES (new.number, new.text);
END;
CREATE TRIGGER message_deleted AFTER DELETE ON message BEGIN
    INSERT INTO found_text (found_text, rowid, text) VALUES ('delete', old.number, old.text);
END;
CREATE TRIGGER message_updated AFTER UPDATE OF text ON message BEGIN
    INSERT INTO found_text (found_text, rowid, text) VALUES ('delete', old.number, old.text);
    INSERT INTO found_text (rowid, text) VALUES (new.number, new.text);
END;

CREATE VIRTUAL TABLE found_title USING fts5 (
    title, content = 'conversation', content_rowid = 'number', tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
);
CREATE TRIGGER conversation_inserted AFTER INSERT ON conversation BEGIN
    INSERT INTO found_title (rowid, title) VALUES (new.number, new.title);
END;
CREATE TRIGGER conversation_deleted AFTER DELETE ON conversation BEGIN
    INSERT INTO found_title (found_title, rowid, title) VALUES ('delete', old.number, old.title);
END;
CREATE TRIGGER conversation_updated_title AFTER UPDATE OF title ON conversation BEGIN
    INSERT INTO found_title (found_title, rowid, title) VALUES ('delete', old.number, old.title);
    INSERT INTO found_title (rowid, title) VALUES (new.number, new.title);
END;
"""

# Messages become parts: `text` keeps the words, which are searched, `layout` says what stands where (see `stored_parts`).
# The one text of a message stands last and takes all that is left. Its length is given in bytes, which are no fewer than
# its characters: SQLite counts those up to the first zero byte only.
_PARTS = """
ALTER TABLE conversation RENAME COLUMN at TO revision;
ALTER TABLE found_title RENAME TO conversation_fts;
ALTER TABLE found_text RENAME TO message_fts;
DROP TRIGGER conversation_inserted;
DROP TRIGGER conversation_deleted;
DROP TRIGGER conversation_updated_title;
CREATE TRIGGER conversation_inserted AFTER INSERT ON conversation BEGIN
    INSERT INTO conversation_fts (rowid, title) VALUES (new.number, new.title);
END;
CREATE TRIGGER conversation_deleted AFTER DELETE ON conversation BEGIN
    INSERT INTO conversation_fts (conversation_fts, rowid, title) VALUES ('delete', old.number, old.title);
END;
CREATE TRIGGER conversation_updated_title AFTER UPDATE OF title ON conversation BEGIN
    INSERT INTO conversation_fts (conversation_fts, rowid, title) VALUES ('delete', old.number, old.title);
    INSERT INTO conversation_fts (rowid, title) VALUES (new.number, new.title);
END;

CREATE TABLE message_of_parts (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    conversation TEXT NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    parent TEXT REFERENCES message (id) ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('user', 'assistant', 'summary')),
    text TEXT NOT NULL,
    layout TEXT NOT NULL DEFAULT '',
    brain TEXT NOT NULL DEFAULT '',
    time REAL NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('complete', 'writing', 'interrupted', 'cancelled', 'failed')),
    reason TEXT NOT NULL DEFAULT '',
    owner TEXT NOT NULL DEFAULT '',
    usage TEXT,
    seconds REAL NOT NULL DEFAULT 0
) STRICT;
INSERT INTO message_of_parts
SELECT number, id, conversation, parent, role, text,
    CASE
        WHEN attachments <> '[]' THEN (
            SELECT json_group_array(json(part)) FROM (
                SELECT json_object('type', 'file', 'path', value ->> '$.path', 'bytes', value ->> '$.bytes',
                    'lines', value ->> '$.lines') AS part FROM json_each(attachments)
                UNION ALL SELECT json_object('type', 'text', 'length', length(CAST(text AS BLOB))) WHERE text <> ''
            )
        )
        WHEN reasoning <> '' AND text <> '' THEN json_array(
            json_object('type', 'reasoning', 'text', reasoning, 'seconds', reasoning_seconds),
            json_object('type', 'text', 'length', length(CAST(text AS BLOB)))
        )
        WHEN reasoning <> '' THEN
            json_array(json_object('type', 'reasoning', 'text', reasoning, 'seconds', reasoning_seconds))
        ELSE ''
    END,
    brain, time, CASE state WHEN 'whole' THEN 'complete' ELSE state END, reason, owner,
    replace(replace(usage, '"answer_tokens"', '"completion_tokens"'), '"answer_seconds"', '"completion_seconds"'), seconds
FROM message;

CREATE TABLE event_piece (
    number INTEGER PRIMARY KEY,
    message TEXT NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    event TEXT NOT NULL
) STRICT;
INSERT INTO event_piece
SELECT number, message, json_object('type', 'reasoning_delta', 'text', reasoning) FROM piece WHERE reasoning <> ''
UNION ALL SELECT number + (SELECT max(number) FROM piece), message, json_object('type', 'text_delta', 'text', text)
FROM piece WHERE text <> '';
DROP TABLE piece;
ALTER TABLE event_piece RENAME TO piece;
CREATE INDEX piece_message ON piece (message, number);

-- What the files and images of a message hold, in the order in which they stand in it.
CREATE TABLE content (
    number INTEGER PRIMARY KEY,
    message TEXT NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    data BLOB NOT NULL
) STRICT;
INSERT INTO content SELECT number, message, CAST(text AS BLOB) FROM attachment;
DROP TABLE attachment;
CREATE INDEX content_message ON content (message, number);

DROP TABLE message;
ALTER TABLE message_of_parts RENAME TO message;
CREATE INDEX message_conversation ON message (conversation, number);
CREATE INDEX message_parent ON message (parent);
CREATE INDEX message_questions ON message (conversation) WHERE role = 'user';
CREATE INDEX message_writing ON message (conversation) WHERE state = 'writing';
CREATE TRIGGER message_inserted AFTER INSERT ON message BEGIN
    INSERT INTO message_fts (rowid, text) VALUES (new.number, new.text);
END;
CREATE TRIGGER message_deleted AFTER DELETE ON message BEGIN
    INSERT INTO message_fts (message_fts, rowid, text) VALUES ('delete', old.number, old.text);
END;
CREATE TRIGGER message_updated AFTER UPDATE OF text ON message BEGIN
    INSERT INTO message_fts (message_fts, rowid, text) VALUES ('delete', old.number, old.text);
    INSERT INTO message_fts (rowid, text) VALUES (new.number, new.text);
END;
"""

MIGRATIONS = (Migration("conversations", _FIRST), Migration("parts", _PARTS))
