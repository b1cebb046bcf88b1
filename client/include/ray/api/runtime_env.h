// RuntimeEnv: the environment that the workers of a job, a task or an actor start in. `env_vars`, a map of strings, are
// set in the worker; `working_dir` is the folder that it runs in. Each field is a JSON value.
//
//   ray::RuntimeEnv environment;
//   environment.Set("env_vars", std::map<std::string, std::string>{{"OMP_NUM_THREADS", "4"}});
//   ray::Task(Train).SetRuntimeEnv(environment).Remote();
#pragma once

#include <ray/internal/abi.h>

#include <map>
#include <string>
#include <type_traits>

#include <ray/internal/export.h>
#include <ray/internal/json_text.h>

namespace ray {

// A value, for one thread at a time. Errors are RayRuntimeEnvException.
class RAYLET_API RuntimeEnv {
 public:
  // Numbers, bool, text, and vectors and maps of these. Any other type travels by nlohmann::json: include
  // <nlohmann/json.hpp> and give the type a to_json and a from_json.
  template <class T>
  void Set(const std::string& name, const T& value) {
    SetJsonStr(name, internal::ToJsonText(value));
  }
  // Throws where there is no such field, or where it is no T.
  template <class T>
  T Get(const std::string& name) const {
    return internal::FromJsonText<T>(GetJsonStr(name));
  }

  // Throws unless the text is JSON.
  void SetJsonStr(const std::string& name, const std::string& json_str);
  std::string GetJsonStr(const std::string& name) const;  // throws where there is no such field

  bool Contains(const std::string& name) const { return fields_.contains(name); }
  bool Remove(const std::string& name) { return fields_.erase(name) > 0; }  // whether it was there
  bool Empty() const { return fields_.empty(); }

  // One JSON object with all fields, in the order of their names. Empty without any field.
  std::string Serialize() const;
  // The same within {"serializedRuntimeEnv": "…"}, as Ray's other languages want it.
  std::string SerializeToRuntimeEnvInfo() const;
  // Throws unless the text is a JSON object, or empty.
  static RuntimeEnv Deserialize(const std::string& serialized_runtime_env);

 private:
  std::map<std::string, std::string> fields_;  // JSON texts
};

}  // namespace ray
