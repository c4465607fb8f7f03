"""Stock devices as they speak, played without hardware: `foreshore-agent play --profile NAME`.

`speech` says what a dialect is, a module each is one, `registry` names them; `appliances` hang on
them. All of it is pure: `play.actor` carries the messages.
"""
