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

MIGRATIONS = (Migration("conversations", _FIRST),)
