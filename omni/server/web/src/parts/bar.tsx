/** A share of a whole, as a thin line. */
export function Bar({ share, label, tone }: { share: number; label: string; tone?: string }) {
  const percent = Math.max(0, Math.min(100, Math.round(share * 100)));
  const colour = tone ?? (percent >= 90 ? "red" : percent >= 75 ? "amber" : "");
  return (
    <span className={`bar ${colour}`} role="meter" aria-label={label} aria-valuenow={percent} aria-valuemin={0} aria-valuemax={100}>
      <span style={{ width: `${percent}%` }} />
    </span>
  );
}
