// Debian's index of packages, as `apt-cache dumpavail` prints it: paragraphs of "Field: value" lines.
#pragma once

#include <istream>
#include <string>
#include <vector>

namespace example {

struct Package {
  std::string name;
  std::string description;           // its first line
  std::vector<std::string> depends;  // names alone, the first of alternatives, each once
};

// Of several versions of a package, the first one.
std::vector<Package> ParsePackages(std::istream& in);

// From the file, or from apt-cache where the name is empty. Throws std::runtime_error where there are none.
std::vector<Package> ReadPackages(const std::string& file);

}  // namespace example
