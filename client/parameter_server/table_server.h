// The actors of a table: how they start, and how they make place for others in a Resize. In the process that owns them.
#pragma once

#include <cstddef>
#include <memory>

#include <ray/parameter_server/table.h>

namespace ray::ps::internal {

// Throws RayException for options that contradict each other. `inherits`: the shards have nothing yet, and take over
// what others have.
template <class K, class T>
std::shared_ptr<TableServer<K, T>> StartTable(size_t row_size, const TableOptions& options, bool inherits = false);

// A Resize: as Conduct.
template <class K, class T>
std::shared_ptr<const TableServer<K, T>> ResizedTable(const TableServer<K, T>& old, size_t shards);

}  // namespace ray::ps::internal
