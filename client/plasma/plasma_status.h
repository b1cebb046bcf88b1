// Between the library's own words and those of the public interface.
#pragma once

#include <plasma/common.h>

#include <cstring>

#include "base/result.h"
#include "fbs/ids.h"

namespace raylet::client {

plasma::Status ToStatus(const Error& error);
template <class T>
plasma::Status StatusOf(const Result<T>& result) {
  return result ? plasma::Status() : ToStatus(result.error());
}

inline ObjectId FromPublic(const plasma::ObjectID& id) {
  return ObjectId::FromBinary({reinterpret_cast<const char*>(id.data()), ObjectId::kSize});
}
inline plasma::ObjectID ToPublic(const ObjectId& id) {
  plasma::ObjectID out;  // all of it is written
  static_assert(ObjectId::kSize == plasma::kUniqueIDSize);
  std::memcpy(out.mutable_data(), id.data(), ObjectId::kSize);
  return out;
}

}  // namespace raylet::client
