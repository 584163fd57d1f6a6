import { useId, useState } from "react";
import { changeSetting } from "../actions";
import { state, toast } from "../state";
import { local } from "../theme";
import { PageHead } from "./head";
import type { Palette, Setting } from "../types";

const SECTIONS: Record<string, string> = { chat: "Chat", engine: "Engine", brains: "Brains", serve: "Server" };

export function SettingsPage() {
  const settings = state.use((now) => now.settings);
  const themes = state.use((now) => now.themes);
  const path = state.use((now) => now.configPath);
  const plugins = state.use((now) => now.plugins.settings);
  const theme = settings.find((setting) => setting.key === "ui.theme");
  return (
    <section className="page" aria-label="settings">
      <PageHead title="Settings" facts={<span className="hide-narrow">kept in {path}, also for the shell</span>} />
      {theme && <Themes themes={themes} value={String(theme.value)} />}
      <h2>This browser</h2>
      <Local name="font" title="Answers are set in" choices={[["mono", "the font of the terminal"], ["sans", "a reading font"]]} />
      <Local name="letters" title="Single letters are keys" choices={[["on", "on"], ["off", "off"]]} />
      {Object.entries(SECTIONS).map(([section, title]) => (
        <Rows key={section} title={title} settings={settings.filter((setting) => sectionOf(setting) === section)} />
      ))}
      {[...new Set(plugins.map(sectionOf))].map((section) => (
        <Rows key={section} title={section.replace(/^plugins\./, "plug-in ")} settings={plugins.filter((setting) => sectionOf(setting) === section)} />
      ))}
    </section>
  );
}

/** The table of the file that it stands in; the name of a plug-in may have dots. */
function sectionOf(setting: Setting): string {
  return setting.key.slice(0, setting.key.lastIndexOf("."));
}

function Rows({ title, settings }: { title: string; settings: Setting[] }) {
  return (
    <div>
      <h2>{title}</h2>
      {settings.map((setting) => (
        <Row key={`${setting.key} ${JSON.stringify(setting.value)}`} setting={setting} />
      ))}
    </div>
  );
}

function Themes({ themes, value }: { themes: Palette[]; value: string }) {
  return (
    <fieldset className="themes">
      <legend>Theme</legend>
      {themes.map((theme) => (
        <label key={theme.name} style={{ background: theme.colours["background"], color: theme.colours["text"], borderColor: theme.colours[theme.name === value ? "accent" : "line"] }}>
          <input type="radio" name="theme" value={theme.name} checked={theme.name === value} onChange={() => void changeSetting("ui.theme", theme.name)} />
          <span>{theme.title}</span>
          <span aria-hidden="true" className="swatches">
            {["accent", "person", "amber", "red"].map((name) => (
              <i key={name} style={{ background: theme.colours[name] }} />
            ))}
          </span>
        </label>
      ))}
    </fieldset>
  );
}

function Local({ name, title, choices }: { name: string; title: string; choices: [string, string][] }) {
  const id = useId();
  const [value, setValue] = useState(local.read(name, choices[0]![0]));
  return (
    <div className="setting">
      <label htmlFor={id}>{title}</label>
      <select
        id={id}
        value={value}
        onChange={(event) => {
          setValue(event.target.value);
          local.write(name, event.target.value);
          document.documentElement.dataset[name] = event.target.value;
        }}
      >
        {choices.map(([key, words]) => (
          <option key={key} value={key}>
            {words}
          </option>
        ))}
      </select>
    </div>
  );
}

function Row({ setting }: { setting: Setting }) {
  const id = useId();
  const brains = state.use((now) => now.brains);
  const written = setting.kind === "toml" ? JSON.stringify(setting.value) : String(setting.value ?? ""); // JSON's lists are TOML's
  const [text, setText] = useState(written);
  const name = setting.key.slice(setting.key.lastIndexOf(".") + 1).replaceAll("_", " ");
  const set = async (value: unknown) => {
    if (value === setting.value) return;
    if (await changeSetting(setting.key, value)) toast(`${setting.key} is changed.`);
    else setText(written);
  };
  const typed = () => void (text !== written && set(setting.kind === "int" ? (text.trim() === "" ? Number(setting.default) : Number(text)) : text));
  return (
    <div className="setting">
      <label htmlFor={id}>
        {name}
        <span className="second">{setting.description}</span>
      </label>
      {setting.key === "chat.brain" ? (
        <select id={id} value={String(setting.value)} onChange={(event) => void set(event.target.value)}>
          <option value="">the best one installed</option>
          {brains
            .filter((brain) => brain.usable || brain.name === setting.value)
            .map((brain) => (
              <option key={brain.name}>{brain.name}</option>
            ))}
        </select>
      ) : setting.kind === "bool" ? (
        <input id={id} type="checkbox" checked={Boolean(setting.value)} onChange={(event) => void set(event.target.checked)} />
      ) : setting.kind === "choice" ? (
        <select id={id} value={String(setting.value)} onChange={(event) => void set(event.target.value)}>
          {setting.choices.map((choice) => (
            <option key={choice}>{choice}</option>
          ))}
        </select>
      ) : setting.kind === "int" ? (
        <input id={id} type="number" value={text} onChange={(event) => setText(event.target.value)} onBlur={typed} onKeyDown={(event) => event.key === "Enter" && typed()} />
      ) : setting.kind === "toml" ? (
        <input id={id} value={text} onChange={(event) => setText(event.target.value)} onBlur={typed} onKeyDown={(event) => event.key === "Enter" && typed()} />
      ) : setting.kind === "text" ? (
        <textarea id={id} rows={text.length > 60 ? 3 : 1} value={text} onChange={(event) => setText(event.target.value)} onBlur={typed} />
      ) : (
        <output id={id} className="second">
          {typeof setting.value === "object" ? JSON.stringify(setting.value) : String(setting.value)}
        </output>
      )}
    </div>
  );
}
