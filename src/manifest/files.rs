//! From what was typed to the files that are meant, as kubectl has it: files, directories, commas, patterns, standard input; and a hint
//! where there is no such file.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use regex::Regex;

use super::{hint, problem::Problem};
use crate::text::{clean, excerpt, shell_word};

/// Directories in one another that are searched; a link may lead back up.
const MAX_DEPTH: usize = 32;
/// Matches of one pattern that are taken.
const MAX_MATCHES: usize = 10_000;

/// Finds the files of everything that is named, each once.
pub struct Finder {
    recursive: bool,
    seen: HashSet<PathBuf>,
}

impl Finder {
    /// Has found nothing yet; `recursive`: searches subdirectories, too.
    pub fn new(recursive: bool) -> Self {
        Self {
            recursive,
            seen: HashSet::new(),
        }
    }

    /// The files that an argument stands for: itself, or, for a directory, its `.yaml`, `.yml` and `.json` files sorted by name. `-` is
    /// standard input. Without those that were found before, by whatever path.
    pub fn find(&mut self, argument: &Path) -> Vec<Result<PathBuf, Problem>> {
        let mut found = Vec::new();
        for path in split(argument) {
            match self.expand(&path) {
                Ok(files) => found.extend(files.into_iter().filter(|file| self.is_new(file)).map(Ok)),
                Err(problem) => found.push(Err(problem)),
            }
        }
        found
    }

    fn is_new(&mut self, file: &Path) -> bool {
        // A pipe has no path of its own.
        let path = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        self.seen.insert(path)
    }

    fn expand(&self, path: &Path) -> Result<Vec<PathBuf>, Problem> {
        if path == Path::new("-") {
            return Ok(vec![path.to_owned()]);
        }
        let problem = |why: String| Problem::of_file(&path.display().to_string(), why);
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => self.directory(path),
            Ok(_) => Ok(vec![path.to_owned()]),
            Err(error) => {
                let matches = matches(path);
                if matches.is_empty() {
                    return Err(problem(missing(path, &error)));
                }
                let mut files = Vec::new();
                for path in matches {
                    if path.is_dir() {
                        files.extend(self.directory(&path)?);
                    } else {
                        files.push(path);
                    }
                }
                Ok(files)
            }
        }
    }

    fn directory(&self, path: &Path) -> Result<Vec<PathBuf>, Problem> {
        let mut files = Vec::new();
        let deeper = list(path, self.recursive, MAX_DEPTH, &mut files)
            .map_err(|e| Problem::of_file(&path.display().to_string(), format!("cannot be listed: {e}")))?;
        if files.is_empty() {
            let hint = if deeper {
                "; -R also reads its subdirectories"
            } else {
                ""
            };
            let why = format!("the directory holds no .yaml, .yml or .json file{hint}");
            return Err(Problem::of_file(&path.display().to_string(), why));
        }
        Ok(files)
    }
}

/// Lists the manifests of a directory, sorted by name; says whether there are subdirectories that were not searched.
fn list(path: &Path, recursive: bool, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<bool> {
    let mut entries: Vec<PathBuf> = fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    entries.sort();
    let mut left_out = false;
    for entry in entries {
        if entry.is_dir() {
            if recursive && depth > 0 {
                left_out |= list(&entry, recursive, depth - 1, files)?;
            } else {
                left_out = true;
            }
        } else if is_manifest(&entry) {
            files.push(entry);
        }
    }
    Ok(left_out)
}

fn is_manifest(file: &Path) -> bool {
    let extension = file.extension();
    extension.is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
}

/// `a,b` are two paths, unless there is a file of that name.
fn split(argument: &Path) -> Vec<PathBuf> {
    match argument.to_str() {
        Some(text) if text.contains(',') && !argument.exists() => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            parts.map(PathBuf::from).collect()
        }
        _ => vec![argument.to_owned()],
    }
}

/// The paths that a pattern in quotes matches, which the shell did not see: `*`, `?` and `[…]` within a name.
fn matches(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let name = part.as_os_str();
        let matcher = name.to_str().filter(|name| name.contains(['*', '?', '['])).map(matcher);
        match matcher {
            None => found.iter_mut().for_each(|path| path.push(name)),
            Some(None) => return Vec::new(),
            Some(Some(matcher)) => {
                let inside = found.iter().flat_map(|path| children(path, &matcher));
                found = inside.take(MAX_MATCHES).collect();
            }
        }
    }
    found.retain(|path| path.exists());
    found
}

fn children(path: &Path, matcher: &Regex) -> Vec<PathBuf> {
    let directory = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    // As in a shell, hidden files are not meant.
    let shown = names.filter(|name| !name.starts_with('.') && matcher.is_match(name));
    let mut names: Vec<String> = shown.collect();
    names.sort();
    names.into_iter().map(|name| path.join(name)).collect()
}

/// What a name must look like.
fn matcher(pattern: &str) -> Option<Regex> {
    let mut regex = String::from("^");
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '[' => {
                let class: String = rest.by_ref().take_while(|c| *c != ']').collect();
                let (not, class) = class
                    .strip_prefix(['!', '^'])
                    .map_or(("", class.as_str()), |class| ("^", class));
                let class = class.replace(['\\', '[', '^', '&', '~'], "");
                regex.extend(["[", not, &class, "]"]);
            }
            c => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push('$');
    Regex::new(&regex).ok()
}

/// Why there is no such file, and what to type instead.
fn missing(path: &Path, error: &io::Error) -> String {
    let why = format!("cannot be read: {error}");
    match path.to_str().and_then(|text| hint(path, text)) {
        Some(hint) => format!("{why}; {hint}"),
        None => why,
    }
}

fn hint(path: &Path, text: &str) -> Option<String> {
    let word = |text: &str| shell_word(&excerpt(&clean(text))).into_owned();
    if text.starts_with("http://") || text.starts_with("https://") {
        return Some(format!(
            "fetch it first: curl -fsSL {} | elb-doctor diagnose -f -",
            word(text)
        ));
    }
    if let Some(local) = text.strip_prefix("file://") {
        return Some(format!("give the path alone: -f {}", word(local)));
    }
    if text.starts_with("~/") {
        return Some("the shell replaces ~ only outside quotes: use $HOME or leave the quotes out".into());
    }
    if let Some((drive, rest)) = windows(text) {
        let unix = format!("/mnt/{}/{}", drive.to_ascii_lowercase(), rest.replace('\\', "/"));
        return Some(format!("this is a path of Windows: in WSL, type -f {}", word(&unix)));
    }
    if text.contains('\\') {
        return Some(format!("type it with slashes: -f {}", word(&text.replace('\\', "/"))));
    }
    if text.contains(['*', '?', '[']) {
        return Some("the pattern matches no file".into());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let entries = fs::read_dir(parent.unwrap_or(Path::new("."))).ok()?;
    let names: Vec<String> = entries
        .flatten()
        .take(MAX_MATCHES)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| is_manifest(Path::new(name)))
        .collect();
    let near = hint::nearest(path.file_name()?.to_str()?, names.iter().map(String::as_str))?;
    let near = parent.map_or_else(|| PathBuf::from(near), |parent| parent.join(near));
    Some(format!("did you mean {}?", word(near.to_str()?)))
}

/// Drive and rest of a path such as `C:\x`; a shell may have taken the backslash away.
fn windows(text: &str) -> Option<(char, &str)> {
    let (drive, rest) = text.split_once(':')?;
    let mut letters = drive.chars();
    let drive = letters.next().filter(char::is_ascii_alphabetic)?;
    letters
        .next()
        .is_none()
        .then(|| (drive, rest.trim_start_matches(['\\', '/'])))
}
