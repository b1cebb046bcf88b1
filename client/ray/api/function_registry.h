// FunctionRegistry: every function, method and factory given to RAY_REMOTE, by name and by the
// pointer's bytes and type. Filled by static initialisers before main, and by libraries loaded
// later; entries are never removed or moved. Any thread.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

#include <ray/internal/runtime.h>

#include "base/mutex.h"

namespace raylet::client {

class FunctionRegistry {
 public:
  using Function = ray::internal::RegisteredFunction;

  static FunctionRegistry& Instance();

  // False where the same name stands for the same target already: a header that two files include. Throws RayException
  // where the name stands for another target, or the target has another name.
  bool Register(Function function);
  const Function* FindByName(std::string_view name) const;  // null: unknown
  const Function* FindByTarget(std::string_view target, std::string_view type_name) const;

  // Set while a library of the code search path is loading. The program's own functions win silently, since such a
  // library is often built from the program's own sources.
  void SetKeepFirst(bool keep_first);

 private:
  struct Target {
    std::string_view bytes;  // into functions_
    std::string_view type_name;
    friend bool operator==(const Target&, const Target&) = default;
  };
  struct TargetHash {
    size_t operator()(const Target& target) const {
      return std::hash<std::string_view>()(target.bytes) * 31 + std::hash<std::string_view>()(target.type_name);
    }
  };

  mutable Mutex mutex_;
  std::deque<Function> functions_ RAYLET_GUARDED_BY(mutex_);  // stable addresses
  std::unordered_map<std::string_view, const Function*> by_name_ RAYLET_GUARDED_BY(mutex_);
  std::unordered_map<Target, const Function*, TargetHash> by_target_ RAYLET_GUARDED_BY(mutex_);
  bool keep_first_ RAYLET_GUARDED_BY(mutex_) = false;
};

}  // namespace raylet::client
