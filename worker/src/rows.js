// Statements on an object's own SQLite storage, answered as D1 answers them.
// JSON has no bytes: a blob is an array of them.
const plain = (value) => (value instanceof ArrayBuffer ? Array.from(new Uint8Array(value)) : value);

export function valueOf(sql, text, ...params) {
  const [row] = sql.exec(text, ...params).raw();
  return row?.[0];
}

const totalOf = (sql) => valueOf(sql, "SELECT total_changes()");

// What changed is told as text: a row id may have 64 bits.
function metaOf(sql, before, cursor) {
  const changed = totalOf(sql) !== before;
  const [[changes, row]] = sql.exec("SELECT CAST(changes() AS TEXT), CAST(last_insert_rowid() AS TEXT)").raw();
  return { changes: changed ? changes : "0", last_row_id: row, rows_read: cursor.rowsRead,
    rows_written: cursor.rowsWritten };
}

// The result of a statement.
export function run(sql, text, params = []) {
  const before = totalOf(sql);
  const cursor = sql.exec(text, ...params);
  const rows = [...cursor.raw()].map((row) => row.map(plain));
  return { success: true, results: { columns: cursor.columnNames, rows }, meta: metaOf(sql, before, cursor) };
}
