#include "raylet/node/worker_environment.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/strings.h"

namespace raylet {
namespace {

using nlohmann::json;

tl::unexpected<Error> Unusable(std::string why) {
  return Fail(ErrorCode::kInvalid, StrCat("the runtime environment cannot be made: ", why));
}

Result<void> AddVariables(const json& variables, std::vector<std::string>& environment) {
  if (!variables.is_object()) return Unusable("env_vars wants names with values");
  for (const auto& [name, value] : variables.items()) {
    if (name.empty() || name.find('=') != std::string::npos || name.find('\0') != std::string::npos)
      return Unusable(StrCat("env_vars has the name '", name, "': a name has a character, and no '='"));
    if (!value.is_string()) return Unusable(StrCat("env_vars: the value of ", name, " is no string"));
    const auto& text = value.get_ref<const std::string&>();
    if (text.find('\0') != std::string::npos) return Unusable(StrCat("env_vars: the value of ", name, " has a NUL"));
    const std::string start = name + '=';
    std::erase_if(environment, [&](const std::string& entry) { return entry.starts_with(start); });
    environment.push_back(start + text);
  }
  return {};
}

Result<void> SetFolder(const json& folder, std::string& working_directory) {
  if (!folder.is_string()) return Unusable("working_dir is no string");
  working_directory = folder.get<std::string>();
  std::error_code error;
  if (std::filesystem::is_directory(working_directory, error)) return {};
  return Unusable(StrCat("its working_dir '", working_directory, "' is no folder on this machine"));
}

}  // namespace

Result<WorkerProgram> InEnvironment(const WorkerProgram& program, const std::string& environment) {
  WorkerProgram made = program;
  if (environment.empty()) return made;
  const json fields = json::parse(environment, nullptr, /*allow_exceptions=*/false);
  if (!fields.is_object()) return Unusable("it is no JSON object");
  for (const auto& [name, value] : fields.items()) {
    if (name == "env_vars")
      RAYLET_RETURN_IF_ERROR(AddVariables(value, made.environment));
    else if (name == "working_dir")
      RAYLET_RETURN_IF_ERROR(SetFolder(value, made.working_directory));
    else
      return Unusable(StrCat("it asks for '", name, "', and raylets know env_vars and working_dir"));
  }
  return made;
}

}  // namespace raylet
