#include "parts/debian_packages.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <unordered_set>

namespace example {
namespace {

constexpr std::string_view kBlanks = " \t";

// "libc6 (>= 2.34), foo:any | bar" has libc6 and foo.
void AddNames(std::string_view list, std::vector<std::string>& names) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    std::string_view one = list.substr(0, comma);
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
    one.remove_prefix(std::min(one.find_first_not_of(kBlanks), one.size()));
    const std::string name(one.substr(0, one.find_first_of(" \t:|(")));
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
}

std::string OutputOf(const char* command) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::popen(command, "re"), &::pclose);
  std::string output;
  char part[1 << 16];
  for (size_t size; pipe != nullptr && (size = std::fread(part, 1, sizeof part, pipe.get())) > 0;)
    output.append(part, size);
  return output;
}

}  // namespace

std::vector<Package> ParsePackages(std::istream& in) {
  std::vector<Package> packages;
  std::unordered_set<std::string> known;
  Package package;
  const auto finish = [&] {
    if (!package.name.empty() && known.insert(package.name).second) packages.push_back(package);
    package = Package();
  };
  for (std::string line; std::getline(in, line);) {
    const std::string_view view = line;
    const auto value_of = [&](std::string_view field) {
      if (!view.starts_with(field)) return std::string_view();
      const std::string_view value = view.substr(field.size());
      return value.substr(std::min(value.find_first_not_of(kBlanks), value.size()));
    };
    if (line.empty()) finish();
    if (const auto name = value_of("Package:"); !name.empty()) package.name = name;
    if (const auto text = value_of("Description:"); !text.empty()) package.description = text;
    if (const auto text = value_of("Description-en:"); !text.empty()) package.description = text;
    AddNames(value_of("Depends:"), package.depends);
    AddNames(value_of("Pre-Depends:"), package.depends);
  }
  finish();
  return packages;
}

std::vector<Package> ReadPackages(const std::string& file) {
  std::vector<Package> packages;
  if (file.empty()) {
    std::istringstream in(OutputOf("apt-cache dumpavail 2>/dev/null"));
    packages = ParsePackages(in);
    if (packages.empty())
      throw std::runtime_error("apt-cache knows no packages: run apt-get update, or give a file with --packages");
  } else {
    std::ifstream in(file);
    packages = ParsePackages(in);
    if (packages.empty())
      throw std::runtime_error("the file " + file + " has no packages: it takes what `apt-cache dumpavail` prints");
  }
  return packages;
}

}  // namespace example
