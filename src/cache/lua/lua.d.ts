// Lua scripts are imported as text: `import reserve from './reserve.lua' with { type: 'text' }`.
declare module '*.lua' {
  const text: string;
  export default text;
}
